"""The frame: the bytes a subscriber gets, made once. The gateway puts the `id:` line before it,
because the log gives the id only when the frame is appended; everything else is passed on as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from pushgate import json_codec
from pushgate.channels import check_channel
from pushgate.errors import InvalidEvent
from pushgate.event import Event


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes for the subscribers of some channels.

    Attributes:
        channels: who gets it; a subscriber of two of them gets it once.
        data: a whole Server-Sent Events block without its `id:` line.
    """

    channels: tuple[str, ...]
    data: bytes


def frame_of(event: Event, channels: tuple[str, ...] | None = None) -> Frame:
    """Makes the frame of an event.

    The data line is the event's own data with `event_id`, `object`, `version`, `at` and `channels`
    put before it, so that a client can drop what it has, say how long it took, and tell apart the
    channels of one connection.

    Args:
        channels: who gets it; the event's own when not given.

    Raises:
        InvalidChannel: a channel's name breaks the rule.
        InvalidEvent: no channel at all.
    """
    if channels is None:
        channels = event.channels
    elif not channels:
        raise InvalidEvent(f"event {event.id}: a frame needs at least one channel")
    else:
        channels = tuple(check_channel(name) for name in dict.fromkeys(channels))
    line = json_codec.encode(
        {
            "event_id": event.id,
            "object": event.object,
            "version": event.version,
            "at": event.at,
            "channels": channels,
            **event.data,
        }
    )
    return Frame(channels, b"event: %b\ndata: %b\n\n" % (event.type.encode(), line))
