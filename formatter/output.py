"""What a pipeline may make of one event. It is looked at before it goes to Redis, where a batch
with something strange in it would fail whole, again and again.
"""

from __future__ import annotations

from formatter.errors import InvalidFrames
from pushgate import Event, Frame, FrameTooLarge
from pushgate.channels import check_channel
from pushgate.event import MAX_CHANNELS
from pushgate.frames import MAX_FRAME_BYTES

MOST_FRAMES = 100
MOST_BYTES = MAX_CHANNELS * MAX_FRAME_BYTES
"""Of all frames of an event: each of its channels may get one of its own."""


def checked_frames(event: Event, frames: object) -> tuple[Frame, ...]:
    """Returns what `render` or `gone` returned.

    Raises:
        InvalidFrames: it is no tuple of frames, or of too many, or one is no block of the stream.
        InvalidChannel: a channel's name breaks the rule.
        FrameTooLarge: a frame is above `MAX_FRAME_BYTES`, or all together are above `MOST_BYTES`.
    """
    if not isinstance(frames, tuple):
        raise InvalidFrames(f"event {event.id}: return a tuple of frames, not {_kind(frames)}")
    if len(frames) > MOST_FRAMES:
        raise InvalidFrames(f"event {event.id}: {len(frames)} frames; make at most {MOST_FRAMES}")
    size = 0
    for frame in frames:
        if not isinstance(frame, Frame):
            raise InvalidFrames(f"event {event.id}: return frames, not {_kind(frame)}")
        channels, data = frame
        if type(data) is not bytes or data[-2:] != b"\n\n":
            raise InvalidFrames(f"event {event.id}: a frame is bytes that end in an empty line")
        if len(data) > MAX_FRAME_BYTES:
            raise FrameTooLarge(
                f"event {event.id}: a frame of {len(data)} bytes, above {MAX_FRAME_BYTES}"
            )
        size += len(data)
        if channels is event.channels:
            continue
        if not isinstance(channels, tuple) or not 1 <= len(channels) <= MAX_CHANNELS:
            raise InvalidFrames(
                f"event {event.id}: a frame has a tuple of 1 to {MAX_CHANNELS} channels"
            )
        for channel in channels:
            check_channel(channel)
    if size > MOST_BYTES:
        raise FrameTooLarge(f"event {event.id}: {size} bytes of frames, above {MOST_BYTES}")
    return frames


def _kind(value: object) -> str:
    return type(value).__name__
