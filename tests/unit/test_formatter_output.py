"""What a pipeline may make of an event."""

from __future__ import annotations

from typing import Any

import pytest

from formatter.errors import InvalidFrames, reason_of
from formatter.output import MOST_BYTES, MOST_FRAMES, checked_frames
from pushgate import Event, Frame, FrameTooLarge, InvalidChannel, frame_of
from pushgate.event import MAX_CHANNELS
from pushgate.frames import MAX_FRAME_BYTES

EVENT = Event("comment.created", ("thread:1", "forum:1"), {"number": 1})
DATA = b"event: a\ndata: {}\n\n"


def test_frames_pass_as_they_are() -> None:
    largest = Frame(EVENT.channels, b"x" * (MAX_FRAME_BYTES - 2) + b"\n\n")
    for frames in ((), (frame_of(EVENT),), (frame_of(EVENT, ("user:1",)),) * MOST_FRAMES):
        assert checked_frames(EVENT, frames) is frames
    frames = (largest,) * MAX_CHANNELS
    assert checked_frames(EVENT, frames) is frames


def made_by_hand(channels: Any, data: Any) -> Frame:
    """A frame of anything."""
    return Frame(channels, data)


@pytest.mark.parametrize(
    ("frames", "error", "reason"),
    [
        (None, InvalidFrames, "return a tuple of frames, not NoneType"),
        ([frame_of(EVENT)], InvalidFrames, "return a tuple of frames, not list"),
        (iter([frame_of(EVENT)]), InvalidFrames, "not list_iterator"),
        ((DATA,), InvalidFrames, "return frames, not bytes"),
        (
            (made_by_hand(EVENT.channels, DATA.decode()),),
            InvalidFrames,
            "bytes that end in",
        ),
        ((made_by_hand(EVENT.channels, bytearray(DATA)),), InvalidFrames, "bytes that end"),
        (
            (made_by_hand(EVENT.channels, b"data: {}"),),
            InvalidFrames,
            "bytes that end in",
        ),
        ((frame_of(EVENT),) * (MOST_FRAMES + 1), InvalidFrames, "101 frames; make at most 100"),
        ((made_by_hand((), DATA),), InvalidFrames, "a tuple of 1 to 16 channels"),
        ((made_by_hand("thread:1", DATA),), InvalidFrames, "a tuple of 1 to 16 channels"),
        ((made_by_hand(("a",) * 17, DATA),), InvalidFrames, "a tuple of 1 to 16 channels"),
        ((made_by_hand(("thread 1",), DATA),), InvalidChannel, "thread 1"),
        ((made_by_hand((1,), DATA),), InvalidChannel, "channel 1"),
        ((made_by_hand(("a",), b"x" * MAX_FRAME_BYTES + b"\n\n"),), FrameTooLarge, "above 262144"),
        (
            (made_by_hand(("a",), b"x" * (MOST_BYTES // 20) + b"\n\n"),) * 21,
            FrameTooLarge,
            "bytes of frames, above 4194304",
        ),
    ],
)
def test_anything_else_is_refused(frames: Any, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        checked_frames(EVENT, frames)


class Unprintable(Exception):
    """Fails to say what it is."""

    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no such user"), "ValueError: no such user"),
        (ValueError("half \ud83d"), "ValueError: half \\ud83d"),
        (ValueError("x" * 100_000), "ValueError: " + "x" * 2000),
        (Unprintable(), "Unprintable: (it has no text)"),
    ],
)
def test_every_error_has_a_reason_that_can_be_kept(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
