"""What an event may be, and that its JSON is read back exactly or not at all."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate import Event, InvalidChannel, InvalidEvent
from pushgate.event import (
    MAX_DATA_BYTES,
    RESERVED_DATA_NAMES,
    new_event_id,
    new_event_json,
    now_rfc3339,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
data_names = st.text(st.characters(codec="utf-8")).filter(
    lambda name: name not in RESERVED_DATA_NAMES
)


@given(data=st.dictionaries(data_names, json_values, max_size=5))
def test_an_event_is_read_back_as_it_was_written(data: dict[str, Any]) -> None:
    event = Event(
        "comment.created",
        ("thread:42", "forum:7"),
        data,
        object="threads.comment:17",
        version=3,
        flags={"beta": True},
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    assert Event.from_json(event.to_json()) == event


def test_an_events_json_is_one_line() -> None:
    event = Event("comment.created", ("thread:42",), {"text": "one\ntwo\r\nthree\u2028"})
    assert b"\n" not in event.to_json()
    assert b"\r" not in event.to_json()


def test_the_key_is_the_first_channel_unless_given() -> None:
    assert Event("a", ("thread:42", "forum:7"), {}).key == "thread:42"
    assert Event("a", ("thread:42",), {}, key="user:9").key == "user:9"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"type": "Comment Created"}, "type 'Comment Created'"),
        ({"type": "reset"}, "the stream's own"),
        ({"type": "a\nb"}, "type"),
        ({"channels": ()}, "channels: 0 names"),
        ({"channels": tuple(f"thread:{n}" for n in range(17))}, "channels: 17 names"),
        ({"channels": ("a", "a")}, "stands twice"),
        ({"channels": "thread:42"}, "use a list of names"),
        ({"data": {"event_id": 1}}, "event_id is the frame's own"),
        ({"data": {"x": float("nan")}}, "data is not JSON"),
        ({"data": {"x": object()}}, "data is not JSON"),
        ({"data": {"x": "\ud800"}}, "data is not JSON"),
        ({"data": {1: 2}}, "use text for every name"),
        ({"data": []}, "use a JSON object"),
        ({"data": {"x": "a" * MAX_DATA_BYTES}}, "bytes encoded"),
        ({"key": "a\nb"}, "key"),
        ({"object": "x" * 256}, "object"),
        ({"version": -1}, "version -1"),
        ({"version": True}, "version True"),
        ({"version": 2**53}, "version"),
        ({"id": "17"}, "id '17'"),
        ({"at": "yesterday"}, "at 'yesterday'"),
        ({"at": "2026-01-31T12:00:00"}, "with a time zone"),
        ({"traceparent": "00-1-2-3"}, "traceparent"),
        ({"flags": {"a": 1}}, "flags"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_thing_and_the_value(
    change: dict[str, Any], sentence: str
) -> None:
    fields = {"type": "comment.created", "channels": ("thread:42",), "data": {}} | change
    with pytest.raises(InvalidEvent) as refused:
        Event(**fields)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "Comment Created"},
        {"channels": ()},
        {"channels": ("thread 42",)},
        {"data": {"event_id": 1}},
        {"data": {"x": object()}},
        {"key": "a\nb"},
        {"object": "x" * 256},
        {"correlation_id": "x" * 129},
        {"key": "half \ud83d"},
        {"object": "half \ud83d"},
        {"traceparent": "00-1-2-3"},
        {"flags": {"a": 1}},
    ],
)
def test_events_json_made_at_once_is_refused_alike(change: dict[str, Any]) -> None:
    fields = {"type": "comment.created", "channels": ("thread:42",), "data": {}} | change
    refusals = []
    for make in (Event, new_event_json):
        with pytest.raises((InvalidEvent, InvalidChannel)) as refused:
            make(**fields)
        refusals.append((refused.type, str(refused.value)))
    assert refusals[0] == refusals[1]


@given(data=st.dictionaries(data_names, json_values, max_size=5), flags=st.booleans())
def test_an_events_json_made_at_once_is_the_same(data: dict[str, Any], flags: bool) -> None:
    fields: dict[str, Any] = {
        "type": "comment.created",
        "channels": ["thread:42", "forum:7"],
        "data": data,
        "object": 'threads.comment:"17"',
        "correlation_id": "request ü",
        "flags": {"beta": flags} if flags else {},
    }
    read = Event.from_json(new_event_json(**fields))
    assert read == Event(**fields, id=read.id, at=read.at)
    assert read.to_json() == Event(**fields, id=read.id, at=read.at).to_json()


def test_data_is_encoded_when_the_event_is_made() -> None:
    data = {"text": "then"}
    event = Event("a", ("thread:42",), data)
    data["text"] = "later"
    assert json.loads(event.to_json())["data"] == {"text": "then"}
    counted = event.with_version(7)
    assert json.loads(counted.to_json()) == json.loads(event.to_json()) | {"version": 7}
    assert pickle.loads(pickle.dumps(counted)) == counted


@pytest.mark.parametrize("version", [-1, True, 2**53])
def test_counting_checks_the_count(version: int) -> None:
    with pytest.raises(InvalidEvent, match="version"):
        Event("a", ("thread:42",), {}).with_version(version)


def test_the_time_is_now_in_utc() -> None:
    before = datetime.now(UTC)
    told = [datetime.fromisoformat(now_rfc3339()) for _ in range(1000)]
    assert before <= told[0] and told == sorted(told) and told[-1] <= datetime.now(UTC)
    assert {moment.utcoffset() for moment in told} == {timedelta(0)}


def test_a_forked_process_draws_ids_of_its_own() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(new_event_id()[13:] for _ in range(10)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 1000).decode()
    os.close(reader)
    os.close(writer)
    assert len(theirs) == 190
    assert not any(new_event_id()[16:] in theirs for _ in range(10))


def test_an_invalid_channel_is_refused_with_the_rule() -> None:
    with pytest.raises(InvalidChannel, match="begins with a letter or digit"):
        Event("a", ("thread 42",), {})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"{}",
        b'{"v":2}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_an_event_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidEvent):
        Event.from_json(text)


@pytest.mark.parametrize(
    "change",
    [{"v": 2}, {"v": None}, {"surplus": 1}, {"channels": "thread:42"}, {"channels": [1]}],
)
def test_a_changed_event_is_refused_not_repaired(change: dict[str, Any]) -> None:
    value = json.loads(Event("a", ("thread:42",), {}).to_json()) | change
    with pytest.raises((InvalidEvent, InvalidChannel)):
        Event.from_json(json.dumps(value))


@pytest.mark.parametrize("name", ["id", "at", "key", "flags", "data"])
def test_an_event_that_lacks_a_field_is_refused(name: str) -> None:
    value = json.loads(Event("a", ("thread:42",), {}).to_json())
    del value[name]
    with pytest.raises(InvalidEvent, match=f"missing {name}"):
        Event.from_json(json.dumps(value))


def test_event_ids_are_version_7_and_never_the_same() -> None:
    ids = [new_event_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {value[12] for value in ids} == {"7"}
    assert {value[16] for value in ids} <= set("89ab")


def laid_out(text: str, spaces: str) -> str:
    """The same JSON, written by somebody else."""
    value = json.loads(text)
    return json.dumps(value, separators=("," + spaces, ":" + spaces), ensure_ascii=bool(spaces))


def read_or_refused(reader: Callable[[str], Event], text: str) -> Event | type[Exception]:
    try:
        return reader(text)
    except (InvalidEvent, InvalidChannel) as error:
        return type(error)


odd_data = st.dictionaries(st.sampled_from(["a", "at", "x", "\u2028"]), json_values, max_size=3)


@given(
    data=odd_data | json_values,
    change=st.dictionaries(
        st.sampled_from(["v", "channels", "key", "version", "id", "at", "flags", "surplus"]),
        json_values,
        max_size=1,
    ),
    spaces=st.sampled_from(["", " ", "\n", "\r\n"]),
)
def test_both_readers_take_and_refuse_the_same(
    data: Any, change: dict[str, Any], spaces: str
) -> None:
    value = json.loads(Event("a", ("thread:42",), {}).to_json()) | {"data": data} | change
    text = laid_out(json.dumps(value), spaces)
    assert read_or_refused(Event.from_json, text) == read_or_refused(Event._from_odd_json, text)


@pytest.mark.parametrize(
    "data",
    [
        '{"at":1}',
        '{"\\u0061t":1}',
        '{"event_id":"00"}',
        "[]",
        '"{}"',
        '{"a":NaN}',
        '{"a":"\\ud800"}',
        "{'a':1}",
    ],
)
def test_data_that_breaks_a_rule_is_refused_undecoded_too(data: str) -> None:
    text = Event("a", ("thread:42",), {}).to_json().decode().replace('"data":{}', f'"data":{data}')
    with pytest.raises(InvalidEvent):
        Event.from_json(text)


def test_a_line_end_between_names_does_not_reach_the_frame() -> None:
    text = Event("a", ("thread:42",), {"x": 1}).to_json().replace(b'{"x":1}', b'{"x":\r\n1}')
    event = Event.from_json(text)
    assert event.data_json == '{"x":1}'


def test_an_events_data_may_be_exchanged() -> None:
    event = Event.from_json(Event("a", ("thread:42",), {"text": "x"}, object="t:1").to_json())
    changed = event.with_data({**event.data, "html": "<p>x</p>"})
    assert changed.data_json == '{"text":"x","html":"<p>x</p>"}'
    assert (changed.id, changed.object, changed.channels) == (event.id, "t:1", event.channels)
    assert event.data == {"text": "x"}
    with pytest.raises(InvalidEvent, match="the frame's own"):
        _ = event.with_data({"version": 3}).data_json
    with pytest.raises(InvalidEvent, match="not JSON"):
        _ = event.with_data({"x": object()}).data_json


def test_an_event_goes_through_a_pickle() -> None:
    event = Event.from_json(Event("a", ("thread:42",), {"text": "x"}).to_json())
    changed = event.with_data({"text": "y"})
    assert pickle.loads(pickle.dumps(event)) == event
    assert pickle.loads(pickle.dumps(changed)) == changed
