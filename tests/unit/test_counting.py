"""An event that is only passed on is counted in its text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate import Event, InvalidEvent, PushgateError
from pushgate.counting import counted

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain_words = st.text(
    st.characters(exclude_categories=["Cs"]).filter(lambda c: ord(c) > 31 and ord(c) != 127),
    max_size=20,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
# Data that looks like what stands behind it.
tricky = st.sampled_from(
    [
        {"a": {}, "key": "not this"},
        {"a": {"b": {}}, "key": "x", "id": "z"},
        {"text": '},"key":"x","object":"y","version":0,"id":"'},
        {"a": {"key": "x", "object": "y", "version": 0, "id": "z"}},
    ]
)
data = tricky | st.dictionaries(
    words.filter(lambda name: name not in {"event_id", "object", "version", "at"}),
    values,
    max_size=4,
)
events = st.builds(
    Event,
    type=st.just("comment.created"),
    channels=st.sampled_from([("thread:1",), ("thread:1", "user:9")]),
    data=data,
    key=plain_words,
    object=plain_words,
    version=st.just(0) | st.integers(1, 2**53 - 1),
    correlation_id=plain_words,
    flags=st.dictionaries(words, st.booleans(), max_size=2),
)


@given(event=events, version=st.integers(1, 2**53 - 1))
def test_counting_in_the_text_is_counting_the_event(event: Event, version: int):
    key, body = counted(event.to_json().decode(), version)
    expected = event if event.version else event.with_version(version)
    assert key == event.key
    assert body == expected.to_json()


def test_what_to_json_wrote_is_not_decoded(monkeypatch: pytest.MonkeyPatch):
    def refuse(text: str) -> Event:
        raise AssertionError("decoded")

    text = Event("comment.created", ("thread:1",), {"text": 'Ada said "hi"'}).to_json().decode()
    monkeypatch.setattr(Event, "from_json", refuse)
    assert b'"version":17,' in counted(text, 17)[1]


def test_another_form_of_an_event_is_taken_all_the_same():
    event = Event("comment.created", ("thread:1",), {"text": "Hello"})
    text = json.dumps(json.loads(event.to_json()), indent=1)
    assert counted(text, 5) == ("thread:1", event.with_version(5).to_json())


def test_a_key_written_with_escapes_is_read_as_what_it_means():
    event = Event("comment.created", ("thread:1",), {}, key="forum:é")
    text = event.to_json().decode().replace("é", "\\u00e9")
    assert counted(text, 5)[0] == "forum:é"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda fields: fields.pop("key"),
        lambda fields: fields.update(v=2),
        lambda fields: fields.update(surplus=1),
        lambda fields: fields.update(channels=[]),
        lambda fields: fields.update(data={"text": "x" * 70_000}),
    ],
)
def test_a_text_of_another_outline_that_is_no_event_is_refused(spoil: Any):
    fields = json.loads(Event("comment.created", ("thread:1",), {}).to_json())
    spoil(fields)
    text = json.dumps(fields, separators=(",", ":"))
    try:
        key, body = counted(text, 1)
    except PushgateError:
        return
    # Of the known outline: then the formatter finds out.
    with pytest.raises(InvalidEvent):
        Event.from_json(body)
    assert key
