"""Looks for the events that explain why the books do not balance: those that are nowhere, and those
that are in two places. It reads whole streams: for one who asks when something is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import redis

from pushgate.books import Books
from pushgate.control import time_of
from pushgate.errors import InvalidEvent
from pushgate.event import Event
from pushgate.keys import Keys
from pushgate.sheet import Strays
from pushgate.tracer import PAGE_ENTRIES, Tracer, data_of

MOST_NAMED = 20
_TOMBSTONE = b"event: gone\n"


@dataclass(frozen=True, slots=True)
class RelayedRow:
    """A row that an outbox keeps, at or below the relay's mark.

    Attributes:
        event_id: of its event.
        written_at: when.
    """

    event_id: str
    written_at: datetime


@dataclass(slots=True)
class _Seen:
    """Where events are. A stream is read after those that events come from.

    Attributes:
        queued: event's id -> its jobs: partition and entry.
        dead: ids.
        published: ids of which a frame is in the log.
        told_gone: ids of which a tombstone is.
        frames: how often the log has a frame, channels and all, by its hash.
        twice: ids of frames that it has more than once.
    """

    queued: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    published: set[str] = field(default_factory=set)
    told_gone: set[str] = field(default_factory=set)
    frames: Counter[int] = field(default_factory=Counter)
    twice: dict[str, None] = field(default_factory=dict)


class StrayFinder:
    """Looks through a namespace.

    Args:
        client: made by `pushgate.connect`.
        keys: the namespace.
        partitions: the same number as in every part.
    """

    def __init__(self, client: redis.Redis, keys: Keys, partitions: int) -> None:
        self._client = client
        self._keys = keys
        self._partitions = partitions
        self._tracer = Tracer(client, keys, partitions)

    def find(self, books: Books, rows: Callable[[], Iterable[RelayedRow]]) -> Iterator[Strays]:
        """Each kind of them that there is.

        Args:
            books: which do not balance.
            rows: the relayed rows that outboxes keep, the youngest first.
        """
        seen = self._look()
        yield from _named("On the queue more than once", self._queued_twice(seen))
        yield from _named("Published, and on the queue still", self._also_queued(seen))
        yield from _named("In the log more than once, under several ids", iter(seen.twice))
        unless = ""
        if books.ledger.suppressed or books.ledger.expired:
            unless = " (what a pipeline suppressed, joined or let expire leaves no trace either)"
        yield from _named(
            f"Relayed, and neither on the queue, nor dead, nor in the log{unless}",
            self._nowhere(seen, rows()),
        )

    def _look(self) -> _Seen:
        seen = _Seen()
        for partition in range(self._partitions):
            for entry_id, fields in self._entries(self._keys.jobs(partition)):
                jobs = seen.queued.setdefault(_id_in(fields), [])
                jobs.append((partition, entry_id))
        seen.dead.update(_id_in(fields) for _, fields in self._entries(self._keys.dead))
        for _, fields in self._entries(self._keys.log):
            frame = fields.get(b"frame", b"")
            event_id = str(data_of(frame).get("event_id") or "")
            (seen.told_gone if frame.startswith(_TOMBSTONE) else seen.published).add(event_id)
            same = hash((fields.get(b"channels"), frame))
            seen.frames[same] += 1
            if seen.frames[same] > 1 and event_id:
                seen.twice[event_id] = None
        return seen

    def _queued_twice(self, seen: _Seen) -> Iterator[str]:
        for event_id, jobs in seen.queued.items():
            if event_id and len(jobs) > 1 and sum(map(self._is_queued, jobs)) > 1:
                yield event_id

    def _also_queued(self, seen: _Seen) -> Iterator[str]:
        for event_id, jobs in seen.queued.items():
            # Its job may have ended since it was seen.
            if event_id in seen.published and event_id and any(map(self._is_queued, jobs)):
                yield event_id

    def _nowhere(self, seen: _Seen, rows: Iterable[RelayedRow]) -> Iterator[str]:
        begins_at = self._log_begins_at()
        for row in rows:
            if begins_at is not None and row.written_at < begins_at:
                # It may have been published, and cut off the log since; so may all older ones.
                return
            known = (seen.queued, seen.dead, seen.published, seen.told_gone)
            if any(row.event_id in place for place in known):
                continue
            if not self._tracer.find(row.event_id):
                yield row.event_id

    def _log_begins_at(self) -> datetime | None:
        """When the oldest frame of the log was published; None when nothing was cut off it."""
        found: Any = self._client.xrange(self._keys.log, count=1)
        if not found:
            return None
        info: Any = self._client.xinfo_stream(self._keys.log)
        return time_of(found[0][0]) if info["entries-added"] > info["length"] else None

    def _is_queued(self, job: tuple[int, bytes]) -> bool:
        partition, entry_id = job
        name = entry_id.decode()
        return bool(self._client.xrange(self._keys.jobs(partition), name, name))

    def _entries(self, key: str) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
        if self._client.type(key) != b"stream":
            return
        after = "-"
        while True:
            found: Any = self._client.xrange(key, after, "+", count=PAGE_ENTRIES)
            yield from found
            if len(found) < PAGE_ENTRIES:
                return
            after = f"({found[-1][0].decode()}"


def _named(what: str, event_ids: Iterator[str]) -> Iterator[Strays]:
    """At most so many of them; nothing when there is none."""
    some = [event_id for event_id, _ in zip(event_ids, range(MOST_NAMED + 1), strict=False)]
    if some:
        yield Strays(what, tuple(some[:MOST_NAMED]), len(some) > MOST_NAMED)


def _id_in(fields: dict[bytes, bytes]) -> str:
    try:
        return Event.from_json(fields.get(b"event", b"")).id
    except InvalidEvent:
        return ""
