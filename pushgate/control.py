"""What an operator sees of the queue and may do to it: depth and age by partition, who works it,
dead letters, pause and resume. Where one event is, `pushgate.tracer` finds.

Reads are a glance, not a transaction: two figures of one answer may be a moment apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from pushgate.errors import InvalidEvent
from pushgate.event import Event
from pushgate.keys import Keys
from pushgate.leases import RELAY
from pushgate.ledger import Ledger, read_ledger
from pushgate.scripts import Script

LETTERS_AT_A_TIME = 100
WATCHED_SECONDS = 90
"""For how long a look at the panel counts: longer than an open panel waits before the next."""


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition of the job queue at a glance.

    Attributes:
        partition: its number.
        jobs: waiting or being worked on.
        oldest_at: since when the first of them is there; None when there is none.
        holder: the process that works it; "" when nobody does.
        paused: nobody is to claim from it.
    """

    partition: int
    jobs: int
    oldest_at: datetime | None
    holder: str
    paused: bool


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job given up.

    Attributes:
        entry_id: names the letter.
        partition: where the job was.
        attempts: how often it had been claimed.
        queued_at: when the job was put on the queue.
        reason: why it was given up.
        body: the event's JSON, or what was found in its place.
        buried_at: when.
    """

    entry_id: str
    partition: int
    attempts: int
    reason: str
    body: bytes
    queued_at: datetime
    buried_at: datetime

    def event(self) -> Event | None:
        """The event, or None when the body is not one."""
        try:
            return Event.from_json(self.body)
        except InvalidEvent:
            return None


class Control:
    """The operator's view of a namespace.

    Args:
        client: made by `pushgate.connect`.
        keys: the namespace.
        partitions: the same number as in every part.
    """

    def __init__(self, client: redis.Redis, keys: Keys, partitions: int) -> None:
        self._client = client
        self._keys = keys
        self._partitions = partitions
        self._retry_dead = Script(client, "retry_dead")
        self._discard_dead = Script(client, "discard_dead")

    def partitions(self) -> list[PartitionState]:
        """Every partition, by number."""
        numbers = range(self._partitions)
        with self._client.pipeline(transaction=False) as together:
            for number in numbers:
                together.xlen(self._keys.jobs(number))
                together.xrange(self._keys.jobs(number), count=1)
                together.get(self._keys.lease(str(number)))
            together.smembers(self._keys.paused)
            *answers, paused = together.execute()
        return [
            PartitionState(
                partition=number,
                jobs=answers[3 * number],
                oldest_at=time_of(answers[3 * number + 1][0][0])
                if answers[3 * number + 1]
                else None,
                holder=_owner_in(answers[3 * number + 2]),
                paused=str(number).encode() in paused,
            )
            for number in numbers
        ]

    def relay_holder(self) -> str:
        """The relay that leads; "" when none does."""
        return _owner_in(self._client.get(self._keys.lease(RELAY)))

    def relay_marks(self) -> dict[str, str]:
        """Source -> the relay's high-water mark."""
        marks: Any = self._client.hgetall(self._keys.relay)
        return {source.decode(): mark.decode() for source, mark in marks.items()}

    def ledger(self) -> Ledger:
        """The books."""
        return read_ledger(self._client, self._keys)

    def pause(self, partition: int) -> None:
        """Has nobody claim from the partition, within a second; jobs go on waiting in it."""
        self._client.sadd(self._keys.paused, str(self._checked(partition)))

    def resume(self, partition: int) -> None:
        """Takes `pause` back."""
        self._client.srem(self._keys.paused, str(self._checked(partition)))

    def count_dead_letters(self) -> int:
        """How many dead letters are kept."""
        return int(self._client.xlen(self._keys.dead))

    def dead_letters(
        self, count: int = LETTERS_AT_A_TIME, before: str | None = None
    ) -> list[DeadLetter]:
        """Dead letters, the newest first.

        Args:
            count: at most so many.
            before: only letters older than this entry.
        """
        newest = f"({before}" if before else "+"
        found: Any = self._client.xrevrange(self._keys.dead, newest, "-", count=count)
        return [letter_of(entry_id, fields) for entry_id, fields in found]

    def count_dead_letters_after(self, entry_id: str, most: int = LETTERS_AT_A_TIME) -> int:
        """How many letters are younger than this entry; `most` stands for that many or more."""
        found: Any = self._client.xrange(self._keys.dead, f"({entry_id}", "+", count=most)
        return len(found)

    def dead_letter(self, entry_id: str) -> DeadLetter | None:
        """One dead letter; None when it is not there any more."""
        found: Any = self._client.xrange(self._keys.dead, entry_id, entry_id)
        return letter_of(*found[0]) if found else None

    def retry_dead_letters(self, entry_ids: Iterable[str]) -> int:
        """Puts dead letters back to the end of their partitions; returns how many were there.

        Each moves in one step with the ledger. Its attempts begin anew.
        """
        moved = 0
        for entry_id in entry_ids:
            letter = self.dead_letter(entry_id)
            if letter is not None:
                jobs = self._keys.jobs(letter.partition)
                moved += int(
                    self._retry_dead([self._keys.dead, self._keys.ledger, jobs], [entry_id])
                )
        return moved

    def discard_dead_letters(self, entry_ids: Sequence[str]) -> int:
        """Deletes dead letters for good; returns how many were there. The ledger keeps them."""
        return int(self._discard_dead([self._keys.dead, self._keys.ledger], entry_ids))

    def watch(self) -> None:
        """Says that somebody looks at the figures."""
        self._client.set(self._keys.watched, "1", ex=WATCHED_SECONDS)

    def is_watched(self) -> bool:
        """Whether somebody has looked at the figures lately."""
        return bool(self._client.exists(self._keys.watched))

    def _checked(self, partition: int) -> int:
        if not 0 <= partition < self._partitions:
            raise ValueError(f"partition {partition}: use 0 to {self._partitions - 1}")
        return partition


def time_of(entry_id: bytes) -> datetime:
    """When a stream's entry was made, by the clock of Redis."""
    return datetime.fromtimestamp(int(entry_id.partition(b"-")[0]) / 1000, UTC)


def _owner_in(holder: Any) -> str:
    """The owner in a lease's value `<token>@<life of Redis>:<owner>`."""
    return holder.decode().partition(":")[2] if isinstance(holder, bytes) else ""


def letter_of(entry_id: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    """An entry of the stream `dead`."""
    return DeadLetter(
        entry_id=entry_id.decode(),
        partition=int(fields[b"partition"]),
        attempts=int(fields[b"attempts"]),
        reason=fields[b"reason"].decode("utf-8", "replace"),
        body=fields[b"event"],
        queued_at=time_of(fields[b"entry"]),
        buried_at=time_of(entry_id),
    )
