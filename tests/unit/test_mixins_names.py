"""Addresses and channels made of an event's data, and the mixins that drop events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formatter import Pipeline
from formatter.errors import InvalidPipelines
from formatter.mixins import DropOldMixin, FlagMixin, PermalinkMixin, RouteMixin
from formatter.testing import run
from pushgate import Event, InvalidChannel, InvalidEvent


class Comment(PermalinkMixin, Pipeline):
    permalink = "https://example.org/threads/{thread}/#comment-{id}"


def permalink_of(pipeline: type[Pipeline], **data: Any) -> Any:
    return run(pipeline, Event("a", ("b",), data))["b"].get("permalink")


def test_a_permalink_is_made_of_the_data() -> None:
    assert permalink_of(Comment, thread=1, id=17) == "https://example.org/threads/1/#comment-17"


def test_doubled_braces_and_percent_signs_are_themselves() -> None:
    class Odd(PermalinkMixin, Pipeline):
        permalink = "/100%/{{x}}/%s/{id}"

    assert permalink_of(Odd, id=1) == "/100%/{x}/%s/1"


@given(slug=st.text(st.characters(codec="utf-8")))
def test_no_value_leads_anywhere_else(slug: str) -> None:
    address = permalink_of(Comment, thread=slug, id=1)
    if not slug.strip("."):
        assert address is None
        return
    parts = urlsplit(address)
    assert (parts.scheme, parts.netloc, parts.query) == ("https", "example.org", "")
    assert parts.fragment == "comment-1"
    assert parts.path.split("/")[1::2] == ["threads", ""]
    assert unquote(parts.path.split("/")[2]) == slug


@pytest.mark.parametrize("value", [None, "", ".", "..", True, 1.5, [1], {"a": 1}])
def test_an_event_without_a_value_for_it_passes_without_a_permalink(value: Any) -> None:
    assert permalink_of(Comment, thread=value, id=1) is None
    assert permalink_of(Comment, thread=1) is None


class Routed(RouteMixin, Pipeline):
    further_channels = ("forum:{forum}", "user:{author_id}", "everything")


def channels_of(pipeline: type[Pipeline], channels: tuple[str, ...], **data: Any) -> Any:
    return run(pipeline, Event("a", channels, data)).frames[0].channels


def test_further_channels_are_named_after_the_data() -> None:
    named = channels_of(Routed, ("thread:1",), forum=7, author_id="ann")
    assert named == ("thread:1", "forum:7", "user:ann", "everything")


def test_a_channel_without_a_value_is_left_out() -> None:
    assert channels_of(Routed, ("thread:1",), forum=None) == ("thread:1", "everything")


def test_a_channel_told_already_is_told_once() -> None:
    assert channels_of(Routed, ("forum:7",), forum=7) == ("forum:7", "everything")


@pytest.mark.parametrize("value", ["a b", "Ann", "7.b5", "a/b", "ä", "x" * 200])
def test_a_value_that_makes_no_channels_name_is_an_error(value: str) -> None:
    with pytest.raises(InvalidChannel, match="channel 'forum:"):
        run(Routed, Event("a", ("thread:1",), {"forum": value}))


def test_more_channels_than_a_frame_may_name_are_an_error() -> None:
    full = tuple(f"thread:{n}" for n in range(15))
    with pytest.raises(InvalidEvent, match="17 channels"):
        run(Routed, Event("a", full, {"forum": 1}))


PATTERNS = [
    "{thread.__class__}",
    "{thread[0]}",
    "{thread!r}",
    "{thread:>9}",
    "{thread:{id}}",
    "{}",
    "{thread",
    "thread}",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_nothing_but_names_may_stand_in_braces(pattern: str) -> None:
    for mixin, attributes in (
        (PermalinkMixin, {"permalink": pattern}),
        (RouteMixin, {"further_channels": ("ok:{id}", pattern)}),
    ):
        with pytest.raises(InvalidPipelines, match=r"^Wrong\.\w+ = .*thread|^Wrong\.\w+ = '\{\}'"):
            type("Wrong", (mixin, Pipeline), attributes)()


class Flagged(FlagMixin, Pipeline):
    required_flag = "live"


class OnByDefault(Flagged):
    flag_default = True


@pytest.mark.parametrize(
    ("flags", "off_by_default", "on_by_default"),
    [({"live": True}, True, True), ({"live": False}, False, False), ({"other": True}, False, True)],
)
def test_a_flag_decides(flags: dict[str, bool], off_by_default: bool, on_by_default: bool) -> None:
    event = Event("a", ("b",), {}, flags=flags)
    assert bool(run(Flagged, event)) is off_by_default
    assert bool(run(OnByDefault, event)) is on_by_default


class Typing(DropOldMixin, Pipeline):
    longest_age_seconds = 60


@pytest.mark.parametrize(("seconds", "is_told"), [(0, True), (-3600, True), (3600, False)])
def test_an_old_event_is_dropped(seconds: int, is_told: bool) -> None:
    at = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    assert bool(run(Typing, Event("typing.began", ("thread:1",), {}, at=at))) is is_told


@pytest.mark.parametrize(
    ("mixin", "attributes", "sentence"),
    [
        (PermalinkMixin, {}, "Wrong: PermalinkMixin needs permalink = '/threads/"),
        (PermalinkMixin, {"permalink": 7}, "Wrong.permalink = 7: use text"),
        (RouteMixin, {}, "Wrong: RouteMixin needs further_channels = "),
        (RouteMixin, {"further_channels": ()}, "Wrong: RouteMixin needs further_channels = "),
        (RouteMixin, {"further_channels": "forum:{id}"}, "Wrong.further_channels = 'forum:{id}'"),
        (FlagMixin, {}, "Wrong: FlagMixin needs required_flag = 'live_comments'"),
        (DropOldMixin, {}, "Wrong: DropOldMixin needs longest_age_seconds = 30"),
        (
            DropOldMixin,
            {"longest_age_seconds": -1},
            "longest_age_seconds = -1: use a number above 0",
        ),
    ],
)
def test_what_a_class_lacks_is_said_at_start_in_a_sentence(
    mixin: type[Pipeline], attributes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidPipelines) as raised:
        type("Wrong", (mixin, Pipeline), attributes)()
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
