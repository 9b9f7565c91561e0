"""The frame: one block of Server-Sent Events, whatever the event holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate import Event, FrameTooLarge, InvalidChannel, InvalidEvent, frame_of, tombstone_of
from pushgate.frames import MAX_FRAME_BYTES


@given(text=st.text(st.characters(codec="utf-8")))
def test_no_text_breaks_out_of_its_line(text: str) -> None:
    event = Event("comment.created", ("thread:1",), {"text": text})
    lines = frame_of(event).data.split(b"\n")
    assert lines[0] == b"event: comment.created"
    assert lines[1].startswith(b"data: ")
    assert lines[2:] == [b"", b""]
    assert b"\r" not in frame_of(event).data
    assert json.loads(lines[1][6:])["text"] == text


def test_the_data_says_which_event_of_which_object_it_is() -> None:
    event = Event("comment.created", ("thread:1",), {"id": 17}, object="t.comment:17", version=5)
    data = json.loads(frame_of(event).data.split(b"\n")[1][6:])
    assert data == {
        "event_id": event.id,
        "object": "t.comment:17",
        "version": 5,
        "at": event.at,
        "channels": ["thread:1"],
        "id": 17,
    }


def test_a_frame_may_go_to_other_channels_than_the_event() -> None:
    event = Event("comment.created", ("thread:1",), {})
    assert frame_of(event).channels == ("thread:1",)
    assert frame_of(event, ("forum:7", "forum:7", "thread:1")).channels == ("forum:7", "thread:1")
    assert b'"channels":["forum:7","thread:1"]' in frame_of(event, ("forum:7", "thread:1")).data
    with pytest.raises(InvalidChannel):
        frame_of(event, ("forum 7",))
    with pytest.raises(InvalidEvent, match="17 channels"):
        frame_of(event, tuple(f"user:{n}" for n in range(17)))


def test_an_event_that_was_read_has_the_frame_of_the_one_that_was_written() -> None:
    for data in ({}, {"id": 17, "text": 'so "nice"\n'}, {"nested": {"at": 1}}):
        event = Event("comment.created", ("thread:1", "forum:7"), data, object="t:1", version=2)
        assert frame_of(Event.from_json(event.to_json())) == frame_of(event)


def test_what_a_pipeline_made_too_long_is_refused() -> None:
    event = Event("comment.created", ("thread:1",), {}).with_data({"html": "x" * MAX_FRAME_BYTES})
    with pytest.raises(FrameTooLarge, match=event.id):
        frame_of(event)


def test_a_tombstone_says_what_is_gone() -> None:
    event = Event("comment.created", ("thread:1",), {"text": "x"}, object="t.comment:17", version=5)
    frame = tombstone_of(event)
    assert frame.channels == ("thread:1",)
    first, second, *rest = frame.data.split(b"\n")
    assert first == b"event: gone"
    assert json.loads(second[6:]) == {
        "event_id": event.id,
        "object": "t.comment:17",
        "version": 5,
        "at": event.at,
        "channels": ["thread:1"],
        "type": "comment.created",
    }
    assert rest == [b"", b""]
