"""What a publisher sends: a frame of the log as JSON, for consumers that are no browsers."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import msgspec

from pushgate import Cursor, json_codec

RESET = "reset"
"""The type of the item that tells of a gap; no event may have it."""


class _Head(msgspec.Struct):
    """What is read of a frame's data; the rest is passed on as it is."""

    event_id: str = ""
    at: str = ""


_read_head = msgspec.json.Decoder(_Head).decode


@dataclass(frozen=True, slots=True)
class Item:
    """One frame, or the news of a gap.

    Attributes:
        id: the same whenever this is sent, and no other item's. An event may have several frames
            (one for each audience), so an event's id alone would not do.
        type: the event's type; `RESET` for a gap.
        at: when it happened, RFC 3339; "" when the frame does not say.
        channels: who gets it.
        cursor: its place in the log, with which a subscriber may go on at the gateway.
        data: one line of JSON.
    """

    id: str
    type: str
    at: str
    channels: tuple[str, ...]
    cursor: Cursor
    data: bytes

    @property
    def is_reset(self) -> bool:
        """Whether it tells of a gap."""
        return self.type == RESET

    def to_json(self) -> bytes:
        """The item as one line of JSON: id, type, timestamp, channels, cursor, data."""
        head = json_codec.encode(
            {
                "id": self.id,
                "type": self.type,
                "timestamp": self.at,
                "channels": self.channels,
                "cursor": str(self.cursor),
            }
        )
        return b'%b,"data":%b}' % (head[:-1], self.data)


def type_of(frame: bytes) -> str:
    """The event's type as the frame names it; "message" when it does not, as in a browser."""
    line, _, _ = frame.partition(b"\n")
    name, _, value = line.partition(b": ")
    return value.decode("utf-8", "replace") if name == b"event" else "message"


def item_of(frame: bytes, channels: tuple[str, ...], cursor: Cursor) -> Item:
    """Makes the item of a frame.

    A frame whose data is no JSON, which only a pipeline of one's own can make, goes as a string.
    """
    event_type = type_of(frame)
    lines = [line[6:] for line in frame.split(b"\n") if line.startswith(b"data: ")]
    data = b"\n".join(lines)
    try:
        head = _read_head(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        head = _Head()
        if not _is_json(data):
            data = json_codec.encode(data.decode("utf-8", "replace"))
    distinct = crc32(f"{event_type} {' '.join(channels)}".encode())
    item_id = f"{head.event_id}-{distinct:08x}" if head.event_id else _id_of(cursor)
    return Item(item_id, event_type, head.at, channels, cursor, data)


def reset_of(cursor: Cursor, reason: str, missed: int | None) -> Item:
    """Makes the item that says: between what you got and this cursor something may be missing.

    Args:
        cursor: what follows comes after it.
        reason: `new` (this is the first item), `history` (the log no longer reached back) or
            `epoch` (the log lost what it had shown).
        missed: how many frames of the log were passed over; None when nobody can say.
    """
    data = json_codec.encode({"reason": reason, "missed": missed})
    return Item(f"reset-{_id_of(cursor)}", RESET, "", (), cursor, data)


def _id_of(cursor: Cursor) -> str:
    """A cursor without its dot, which the id of a webhook must not have."""
    return str(cursor).replace(".", "-")


def _is_json(data: bytes) -> bool:
    try:
        json_codec.decode(data)
    except ValueError:
        return False
    return b"\n" not in data
