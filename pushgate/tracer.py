"""Finds one event wherever in Redis it is. It reads whole streams if it must: for one who asks,
not for a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import redis

from pushgate import json_codec
from pushgate.control import letter_of, time_of
from pushgate.errors import InvalidEvent
from pushgate.event import Event
from pushgate.job_queue import PUT_WINDOW_SECONDS
from pushgate.keys import Keys

PAGE_ENTRIES = 1_000
CLOCKS_DIFFER_MS = 60_000
"""How far the clock of the site, of which an event's id tells, may be ahead of that of Redis."""

Fields = dict[bytes, bytes]


class Place(StrEnum):
    """Where an event can be."""

    QUEUE = "queue"
    DEAD = "dead letters"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Sighting:
    """An event, found.

    Attributes:
        place: where.
        where: the partition; for the log the channels, joined by one space.
        at: since when it is there, by the clock of Redis.
        entry_id: the stream's entry.
        queued_at: when it was put on the queue, as far as the place knows it.
        attempts: how often it was claimed; 0 in the log, which does not know it.
        reason: why it was given up.
        event: the event itself; None in the log, which has the frame.
        histories: the channels whose history still has it.
    """

    place: Place
    where: str
    at: datetime
    entry_id: str
    queued_at: datetime | None = None
    attempts: int = 0
    reason: str = ""
    event: Event | None = None
    histories: tuple[str, ...] = ()


class Tracer:
    """Looks for events in a namespace.

    Args:
        client: made by `pushgate.connect`.
        keys: the namespace.
        partitions: the same number as in every part.
    """

    def __init__(self, client: redis.Redis, keys: Keys, partitions: int) -> None:
        self._client = client
        self._keys = keys
        self._partitions = partitions

    def find(self, event_id: str) -> list[Sighting]:
        """Where an event is now, in the order of its way. Twice in the log is twice here."""
        return [
            *self._in_queue(event_id),
            *self._in_dead_letters(event_id),
            *self._in_log(event_id),
        ]

    def last_of(self, name: str) -> str:
        """The id of an object's last event that Redis still knows; "" when there is none.

        Args:
            name: of the object, `threads.comment:17`.
        """
        mark = json_codec.encode(name)
        found: list[tuple[int, str]] = []
        for key in [*map(self._keys.jobs, range(self._partitions)), self._keys.dead]:
            for _, fields in self._entries(key, mark, newest_first=True):
                event = _event_in(fields)
                if event is not None and event.object == name:
                    found.append((event.version, event.id))
                    break
        for _, fields in self._entries(self._keys.log, mark, newest_first=True):
            data = data_of(fields[b"frame"])
            if data.get("object") == name:
                found.append((int(data.get("version") or 0), str(data.get("event_id"))))
                break
        return max(found, default=(0, ""))[1]

    def put_at(self, event_id: str) -> datetime | None:
        """When an event was put without an outbox, for as long as a second put is dropped."""
        expires_at_ms: Any = self._client.pexpiretime(self._keys.put(event_id))
        if expires_at_ms < 0:
            return None
        expires_at = datetime.fromtimestamp(expires_at_ms / 1000, UTC)
        return expires_at - timedelta(seconds=PUT_WINDOW_SECONDS)

    def log_begins_at(self) -> datetime | None:
        """When the oldest frame that the log still has was published; None in an empty log."""
        found: Any = self._client.xrange(self._keys.log, count=1)
        return time_of(found[0][0]) if found else None

    def _in_queue(self, event_id: str) -> Iterator[Sighting]:
        for partition in range(self._partitions):
            key = self._keys.jobs(partition)
            for entry_id, fields in self._entries(key, event_id.encode(), _since(event_id)):
                event = _event_in(fields)
                if event is not None and event.id == event_id:
                    at = time_of(entry_id)
                    yield Sighting(
                        place=Place.QUEUE,
                        where=str(partition),
                        at=at,
                        entry_id=entry_id.decode(),
                        queued_at=at,
                        attempts=self._attempts_at(partition, entry_id),
                        event=event,
                    )

    def _attempts_at(self, partition: int, entry_id: bytes) -> int:
        """How often a job was claimed; `attempts.lua` says how that is kept."""
        claims = f"{partition}:{entry_id.decode()}"
        with self._client.pipeline(transaction=False) as together:
            together.hget(self._keys.attempts, claims)
            together.hget(self._keys.claimed, str(partition))
            counted, last_claimed = together.execute()
        if counted is not None:
            return int(counted)
        return int(last_claimed is not None and _position(entry_id) <= _position(last_claimed))

    def _in_dead_letters(self, event_id: str) -> Iterator[Sighting]:
        for entry_id, fields in self._entries(self._keys.dead, event_id.encode(), _since(event_id)):
            letter = letter_of(entry_id, fields)
            event = letter.event()
            if event is not None and event.id == event_id:
                yield Sighting(
                    place=Place.DEAD,
                    where=str(letter.partition),
                    at=letter.buried_at,
                    entry_id=letter.entry_id,
                    queued_at=letter.queued_at,
                    attempts=letter.attempts,
                    reason=letter.reason,
                    event=event,
                )

    def _in_log(self, event_id: str) -> Iterator[Sighting]:
        for entry_id, fields in self._entries(self._keys.log, event_id.encode(), _since(event_id)):
            if data_of(fields[b"frame"]).get("event_id") == event_id:
                channels = fields[b"channels"].decode().split()
                with self._client.pipeline(transaction=False) as together:
                    for channel in channels:
                        together.xrange(self._keys.channel(channel), entry_id, entry_id)
                    there = together.execute()
                yield Sighting(
                    place=Place.LOG,
                    where=" ".join(channels),
                    at=time_of(entry_id),
                    entry_id=entry_id.decode(),
                    histories=tuple(c for c, found in zip(channels, there, strict=True) if found),
                )

    def _entries(
        self, key: str, mark: bytes, since: str = "-", newest_first: bool = False
    ) -> Iterator[tuple[bytes, Fields]]:
        """The entries of a stream that hold the mark somewhere, a page at a time."""
        edge: str = "+" if newest_first else since
        while True:
            found: Any = (
                self._client.xrevrange(key, edge, "-", count=PAGE_ENTRIES)
                if newest_first
                else self._client.xrange(key, edge, "+", count=PAGE_ENTRIES)
            )
            for entry_id, fields in found:
                if any(mark in value for value in fields.values()):
                    yield entry_id, fields
            if len(found) < PAGE_ENTRIES:
                return
            edge = f"({found[-1][0].decode()}"


def data_of(frame: bytes) -> dict[str, Any]:
    """What the data line of a frame holds; nothing when it is not one of the formatter's."""
    _, _, line = frame.partition(b"\ndata: ")
    try:
        data = json_codec.decode(line)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _event_in(fields: Fields) -> Event | None:
    try:
        return Event.from_json(fields.get(b"event", b""))
    except InvalidEvent:
        return None


def _position(entry_id: bytes) -> tuple[int, int]:
    ms, _, seq = entry_id.partition(b"-")
    return int(ms), int(seq)


def _since(event_id: str) -> str:
    """The first stream entry an event can be in: its id, a UUID of version 7, tells when it was
    made. Another kind of id tells nothing."""
    if event_id[12:13] != "7":
        return "-"
    return str(max(0, int(event_id[:12], 16) - CLOCKS_DIFFER_MS))
