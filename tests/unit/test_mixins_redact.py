"""No one sees what is not for them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formatter import Pipeline
from formatter.errors import InvalidPipelines
from formatter.mixins import (
    PermalinkMixin,
    RedactMixin,
    RenderMarkdownMixin,
    RenderTemplateMixin,
    RouteMixin,
)
from formatter.testing import run
from pushgate import Event, tombstone_of
from pushgate.event import RESERVED_DATA_NAMES


class Comment(RedactMixin, Pipeline):
    audiences = {"moderators:": ("email", "author.ip"), "staff:": ("email", "author.ip", "note")}


DATA = {"id": 1, "email": "a@b", "author": {"name": "Ann", "ip": "::1"}, "note": "x"}
SENT_TO = ("thread:1", "moderators:1", "user:2", "staff:all")


def test_each_audience_has_its_own_frame_and_the_fullest_goes_first() -> None:
    seen = run(Comment, Event("a", SENT_TO, DATA))
    assert [frame.channels for frame in seen.frames] == [
        ("staff:all",),
        ("moderators:1",),
        ("thread:1", "user:2"),
    ]
    assert {frame.data["event_id"] for frame in seen.frames} == {seen["thread:1"]["event_id"]}
    own = {"event_id", "object", "version", "at", "channels"}
    assert {k: v for k, v in seen["staff:all"].items() if k not in own} == DATA
    assert seen["moderators:1"]["author"] == {"name": "Ann", "ip": "::1"}
    assert "note" not in seen["moderators:1"]
    assert {k: v for k, v in seen["thread:1"].items() if k not in own} == {
        "id": 1,
        "author": {"name": "Ann"},
    }


def test_a_frame_names_the_channels_of_its_audience_alone() -> None:
    for frame in run(Comment, Event("a", SENT_TO, DATA)).frames:
        assert tuple(frame.data["channels"]) == frame.channels


def test_two_audiences_that_see_the_same_do_not_learn_of_each_other() -> None:
    class Same(RedactMixin, Pipeline):
        audiences = {"moderators:": ("email",), "press:": ("email",), "silent:": ()}

    seen = run(Same, Event("a", ("press:1", "moderators:1", "silent:1", "thread:1"), {"email": 1}))
    assert [frame.channels for frame in seen.frames] == [
        ("press:1",),
        ("moderators:1",),
        ("silent:1",),
        ("thread:1",),
    ]
    assert "email" not in seen["silent:1"]


def test_a_channel_of_two_audiences_sees_what_both_do() -> None:
    class Nested(RedactMixin, Pipeline):
        audiences = {"staff:": ("email",), "staff:legal:": ("ip",)}

    seen = run(Nested, Event("a", ("staff:1", "staff:legal:1"), {"email": 1, "ip": 2}))
    assert {"email", "ip"} <= seen["staff:legal:1"].keys()
    assert "ip" not in seen["staff:1"]


def test_fields_are_found_in_lists_of_objects_too() -> None:
    class Thread(RedactMixin, Pipeline):
        audiences = {"moderators:": ("replies.author.ip",)}

    odd = [{"author": None}, 7, [{"author": {}}]]
    replies: list[Any] = [{"author": {"ip": 1, "name": "Ann"}}, *odd]
    seen = run(Thread, Event("a", ("thread:1",), {"replies": replies}))
    assert seen["thread:1"]["replies"] == [{"author": {"name": "Ann"}}, *odd]


def test_a_name_with_a_dot_in_it_is_hidden_as_well() -> None:
    seen = run(Comment, Event("a", ("thread:1",), {"author.ip": "::1"}))
    assert "author.ip" not in seen["thread:1"]


def test_without_anything_to_hide_the_event_passes_as_it_is() -> None:
    class Flat(RedactMixin, Pipeline):
        audiences = {"moderators:": ("email",)}

        def render(self, event: Event, channels: tuple[str, ...]) -> Any:
            rendered = super().render(event, channels)
            assert self._redacted(event, frozenset()) is event
            return rendered

    run(Flat, Event("a", ("thread:1",), {"id": 1}))


def test_the_public_may_be_given_named_fields_alone() -> None:
    class Listed(RedactMixin, Pipeline):
        public_fields = ("id", "author")
        audiences = {"moderators:": ("email", "author.ip")}

    seen = run(Listed, Event("a", ("thread:1", "moderators:1"), DATA))
    assert (seen["thread:1"]["author"], "email" in seen["thread:1"]) == ({"name": "Ann"}, False)
    assert seen["moderators:1"]["email"] == "a@b"
    assert "note" not in seen["moderators:1"]


class Everything(
    RedactMixin, RenderTemplateMixin, RouteMixin, PermalinkMixin, RenderMarkdownMixin, Pipeline
):
    audiences = {"moderators:": ("email", "ip", "author.email"), "staff:": ("note",)}
    further_channels = ("moderators:{forum}", "staff:{forum}")
    permalink = "/{thread}/{id}"
    template = "{{ text }}{% for x in (email, ip, note) if x is defined %}{{ x }}{% endfor %}"
    template_target = "line"


# The secret's letters are in nothing else that is drawn.
SECRET = "QZQZQ"
plain = st.text(st.characters(codec="utf-8", exclude_characters="Q"), max_size=20).filter(
    lambda text: "moderators" not in text and "staff" not in text
)
secret = st.one_of(plain, st.just("")).map(lambda text: f"{text}{SECRET}{text}")


def values_of(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        texts,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3)
            | st.dictionaries(plain, inner, min_size=1, max_size=3)
        ),
        max_leaves=5,
    )


public_data = st.dictionaries(
    plain.filter(lambda name: name not in {*RESERVED_DATA_NAMES, "email", "ip", "note", "author"}),
    values_of(plain),
    max_size=4,
)
private_data = st.fixed_dictionaries(
    {},
    optional={
        "email": values_of(secret),
        "ip": values_of(secret),
        "note": values_of(secret),
        "author": st.dictionaries(st.just("email"), values_of(secret))
        | st.lists(st.dictionaries(st.just("email"), values_of(secret)), max_size=3),
    },
)


@given(public=public_data, private=private_data, text=plain, forum=st.integers(10**8, 10**9))
def test_no_private_value_or_channel_is_in_the_publics_bytes(
    public: dict[str, Any], private: dict[str, Any], text: str, forum: int
) -> None:
    data = {**public, **private, "thread": 1, "id": 2, "text": text, "forum": forum}
    event = Event.from_json(Event("comment.created", ("thread:1",), data).to_json())
    *_, everybody = Everything().run(event)
    assert everybody.channels == ("thread:1",)
    for hidden in (SECRET, "moderators", "staff"):
        assert hidden.encode() not in everybody.data
    seen = run(Everything, event)
    moderators, staff = seen[f"moderators:{forum}"], seen[f"staff:{forum}"]
    assert [moderators.get(name) for name in ("email", "ip")] == [
        private.get(name) for name in ("email", "ip")
    ]
    assert moderators.get("author") == private.get("author")
    assert staff.get("note") == private.get("note")
    assert "note" not in moderators
    assert "email" not in staff


class Left(Pipeline):
    def render(self, event: Event, channels: tuple[str, ...]) -> Any:
        return super().render(event, channels)


@pytest.mark.parametrize(
    ("bases", "attributes", "named"),
    [
        ((RedactMixin,), {}, "RedactMixin needs audiences"),
        ((RedactMixin,), {"audiences": ("moderators:",)}, "RedactMixin needs audiences"),
        ((RedactMixin,), {"audiences": {"": ("email",)}}, "beginning of all channels"),
        ((RedactMixin,), {"audiences": {"staff:": "email"}}, "audiences\\['staff:'\\] = 'email'"),
        ((RedactMixin,), {"audiences": {"staff:": ("at",)}}, "every frame has at"),
        ((RedactMixin,), {"public_fields": "email"}, "public_fields = 'email'"),
        ((Left, RedactMixin), {"audiences": {"staff:": ("x",)}}, "put RedactMixin left of Left"),
    ],
)
def test_what_cannot_be_kept_is_refused_at_start(
    bases: tuple[type, ...], attributes: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidPipelines, match=f"^Wrong.*{named}"):
        type("Wrong", (*bases, Pipeline), attributes)()


def test_a_tombstone_does_not_name_other_audiences_channels() -> None:
    event = Event("comment.created", ("thread:1", "staff:1", "moderators:1"), {})
    frames = Comment().gone(event)
    assert sorted(frame.channels for frame in frames) == [
        ("moderators:1",),
        ("staff:1",),
        ("thread:1",),
    ]
    assert all(frame.data.startswith(b"event: gone\n") for frame in frames)
    alone = Event("a", ("thread:1",), {})
    assert Comment().gone(alone) == (tombstone_of(alone),)
