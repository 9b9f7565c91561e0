"""What a consumer gets of a frame."""

from __future__ import annotations

import json

import pytest

from formatter.publishers.item import item_of, reset_of
from pushgate import Cursor, Event, Frame, frame_of
from pushgate.frames import tombstone_of

CURSOR = Cursor("0000000a", 1_790_000_000_000, 4)


def event() -> Event:
    return Event("comment.created", ("thread:1", "user:2"), {"text": 'Ä "quoted"\n line', "n": 1})


def body_of(frame: Frame) -> dict[str, object]:
    found: dict[str, object] = json.loads(item_of(frame.data, frame.channels, CURSOR).to_json())
    return found


def test_an_item_is_one_line_of_json_with_the_frames_data_as_it_is() -> None:
    told = event()
    frame = frame_of(told)
    line = item_of(frame.data, frame.channels, CURSOR).to_json()
    assert b"\n" not in line
    body = json.loads(line)
    assert body.pop("id").startswith(told.id + "-")
    assert body.pop("data") == json.loads(frame.data.split(b"data: ")[1])
    assert body == {
        "type": "comment.created",
        "timestamp": told.at,
        "channels": ["thread:1", "user:2"],
        "cursor": "0000000a.1790000000000-4",
    }


def test_an_id_stays_wherever_the_frame_lies_in_the_log() -> None:
    frame = frame_of(event())
    elsewhere = Cursor("0000000b", 1, 1)
    first = item_of(frame.data, frame.channels, CURSOR)
    assert item_of(frame.data, frame.channels, elsewhere).id == first.id


def test_frames_of_one_event_have_ids_of_their_own() -> None:
    told = event()
    frames = [frame_of(told, ("thread:1",)), frame_of(told, ("user:2",)), tombstone_of(told)]
    ids = {item_of(frame.data, frame.channels, CURSOR).id for frame in frames}
    assert len(ids) == 3


def test_no_id_holds_a_dot() -> None:
    made = [
        item_of(b'event: a.b\ndata: {"x":1}\n\n', ("thread:1",), CURSOR),
        reset_of(CURSOR, "history", 3),
    ]
    assert all("." not in item.id for item in made)


@pytest.mark.parametrize(
    ("block", "data"),
    [
        (b"event: odd\ndata: no json\n\n", "no json"),
        (b"event: odd\ndata: one\ndata: two\n\n", "one\ntwo"),
        (b"event: odd\ndata: [1,2]\n\n", [1, 2]),
        (b'event: odd\ndata: {"event_id":7}\n\n', {"event_id": 7}),
        (b"event: odd\ndata: \xff\n\n", "�"),
        (b"event: odd\n\n", ""),
    ],
)
def test_a_frame_of_another_form_goes_as_what_it_is(block: bytes, data: object) -> None:
    body = body_of(Frame(("thread:1",), block))
    assert body["data"] == data
    assert body["id"] == "0000000a-1790000000000-4"


def test_a_frame_without_a_type_is_a_message_as_in_a_browser() -> None:
    assert body_of(Frame(("thread:1",), b"data: {}\n\n"))["type"] == "message"


def test_a_gap_says_why_and_how_much() -> None:
    item = reset_of(CURSOR, "history", 12)
    assert json.loads(item.to_json()) == {
        "id": "reset-0000000a-1790000000000-4",
        "type": "reset",
        "timestamp": "",
        "channels": [],
        "cursor": str(CURSOR),
        "data": {"reason": "history", "missed": 12},
    }
