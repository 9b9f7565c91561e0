"""The frame: the bytes a subscriber gets, made once. The gateway puts the `id:` line before it,
because the log gives the id only when the frame is appended; everything else is passed on as it is.
"""

from __future__ import annotations

from typing import NamedTuple

from pushgate import json_codec
from pushgate.channels import check_channel
from pushgate.errors import FrameTooLarge, InvalidEvent
from pushgate.event import MAX_CHANNELS, Event

MAX_FRAME_BYTES = 256 * 1024
"""Four times what an event may bring: room for what a pipeline makes of it, none for a runaway."""


class Frame(NamedTuple):
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
        InvalidEvent: no channel at all or too many, or data that a stage made has no JSON form.
        FrameTooLarge: it is above `MAX_FRAME_BYTES`.
    """
    if channels is None or channels is event.channels:
        channels = event.channels
    elif not channels:
        raise InvalidEvent(f"event {event.id}: a frame needs at least one channel")
    else:
        channels = tuple(check_channel(name) for name in dict.fromkeys(channels))
        if len(channels) > MAX_CHANNELS:
            raise InvalidEvent(
                f"event {event.id}: {len(channels)} channels for a frame; use 1 to {MAX_CHANNELS}"
            )
    return _frame(event, event.type, channels, event.data_json)


def tombstone_of(event: Event, channels: tuple[str, ...] | None = None) -> Frame:
    """Makes the frame that stands where an event's would have been: `event: gone`.

    It says which event, of which object and type, could not be made into a frame, so that whoever
    shows that object looks again.

    Args:
        event: which.
        channels: who gets it, some of the event's own; all of them when not given.
    """
    return _frame(event, "gone", channels or event.channels, f'{{"type":"{event.type}"}}')


def _frame(event: Event, name: str, channels: tuple[str, ...], data_json: str) -> Frame:
    text = json_codec.encode_string
    rest = f",{data_json[1:]}" if data_json != "{}" else "}"
    names = '","'.join(channels)
    block = (
        f'event: {name}\ndata: {{"event_id":"{event.id}","object":{text(event.object)},'
        f'"version":{event.version},"at":{text(event.at)},'
        f'"channels":["{names}"]{rest}\n\n'
    ).encode()
    if len(block) > MAX_FRAME_BYTES:
        raise FrameTooLarge(
            f"event {event.id}: its frame has {len(block)} bytes, above {MAX_FRAME_BYTES}; "
            "have the page fetch what it needs"
        )
    return Frame(channels, block)
