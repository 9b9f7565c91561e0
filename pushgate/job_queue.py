"""The job queue: always known what is claimed and what is not.

In the words of Thoonk, a queue in Redis: a job is *put*, *claimed*, and then *finished*, or
*cancelled* (given back as if it had never been claimed), *retried*, or *stalled* (set aside until
somebody looks at it), which is called `bury` here. Unlike there, a claim is bound to a lease, and
each of these is one step that checks it: a process that dies between two of them loses nothing.

Jobs lie in partitions; an event goes to the partition of its ordering key. A partition is worked by
the one process that holds its lease, which reads it from the start and deletes what it finished, so
that each key keeps its order and a dead process' work is simply still there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol
from zlib import crc32

from pushgate.event import Event
from pushgate.frames import Frame
from pushgate.leases import Lease, LeaseStore

PARTITION_LIMIT = 100_000
"""Jobs a partition may hold; more are refused, never dropped."""

PUT_WINDOW_SECONDS = 3600
"""For how long a second put of an event is dropped."""

DEAD_LETTERS_KEPT = 100_000

FROM_THE_START = "0-0"

ForwardedRow = tuple[str, str, bytes]
"""A row of an outbox on its way: its mark, the ordering key, the event's JSON. A plain tuple: the
relay makes thousands of them in a second, and opens none."""


class Outcome(StrEnum):
    """What became of a finished job; the values are the ledger's columns."""

    PUBLISHED = "published"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"


class Job(NamedTuple):
    """An event on the queue, claimed.

    Attributes:
        entry_id: its place in the partition.
        body: the event's JSON as it was put.
        attempts: how often the job was claimed, this time included.
    """

    entry_id: str
    body: bytes
    attempts: int

    def event(self) -> Event:
        """Reads the event.

        Raises:
            InvalidEvent: the body is not one.
        """
        return Event.from_json(self.body)


class Finished(NamedTuple):
    """A job worked on to its end.

    Attributes:
        entry_id: the job's.
        frames: what its event became; none when it was suppressed or had expired.
        outcome: where the ledger books it.
    """

    entry_id: str
    frames: tuple[Frame, ...] = ()
    outcome: Outcome = Outcome.PUBLISHED


class JobQueue(Protocol):
    """What every job queue does. `RedisJobQueue` and `MemoryJobQueue` pass the same tests.

    A method that takes a lease raises `LeaseLost`, and does nothing but count the refusal
    (`Ledger.refused`), when it is not held any more.
    """

    partitions: int

    @property
    def leases(self) -> LeaseStore:
        """The leases of the queue's partitions and of the relay."""
        ...

    def put(self, event: Event) -> bool:
        """Puts one event; False when its id was put within the window already.

        Raises:
            QueueFull: its partition holds as many jobs as it may.
        """
        ...

    def mark(self, source: str) -> str:
        """The relay's high-water mark for an outbox; "" when there is none."""
        ...

    def take_back_partitions(self) -> None:
        """Ends the leases of all partitions: each begins anew with its next holder, from its start.

        For when the queue has lost its end. What comes after that may come under ids that were
        given before; who held a partition would take such a job for one that it has, or has done.
        """
        ...

    def forward(self, lease: Lease, source: str, after: str, rows: Sequence[ForwardedRow]) -> int:
        """Appends rows of an outbox in order and moves its mark to the last of them, in one step.

        Args:
            lease: the relay's.
            source: names the outbox.
            after: the mark the rows follow.
            rows: see `ForwardedRow`.

        Returns:
            How many were appended, from the first on; fewer than given when a partition is full.

        Raises:
            MarkMoved: the mark is not `after`.
        """
        ...

    def skip_gone(self, lease: Lease, source: str, after: str, rows: int) -> int:
        """Books the rows of an outbox that will never be relayed again: Redis was emptied, or set
        back behind rows that were purged since. To be called before the mark moves.

        Args:
            lease: the relay's.
            source: names the outbox.
            after: its mark.
            rows: how many the outbox ever had up to there, those it purged too.

        Returns:
            How many are gone.

        Raises:
            MarkMoved: the mark is not `after`.
        """
        ...

    def claim(self, lease: Lease, after: str, count: int) -> list[Job]:
        """The next jobs of the lease's partition behind the entry `after`, at most `count`.

        Each counts as tried from here on. A new holder begins at `FROM_THE_START`.
        """
        ...

    def wait(self, positions: Mapping[str, str], seconds: float) -> set[str]:
        """Waits until a partition has a job behind its position.

        Args:
            positions: partition's name -> entry id; not empty.
            seconds: 0 only looks; at most `connection.LONGEST_BLOCK_SECONDS`.

        Returns:
            The names of the partitions that have one; none when none came in time.
        """
        ...

    def paused(self) -> set[str]:
        """The names of the partitions nobody is to claim from."""
        ...

    def finish(self, lease: Lease, finished: Sequence[Finished]) -> int:
        """Ends jobs in order: frames into the log, jobs gone, ledger moved, in one step.

        Returns:
            How many were ended by this call; the rest had been before, and publish nothing.
        """
        ...

    def cancel(self, lease: Lease, entry_ids: Sequence[str]) -> int:
        """Gives claims back as if they had never been made: each counts one attempt less.

        For jobs on which no work was begun. A process told to stop cancels them before it releases
        the lease, or a job that sees many deploys would look like one that kills its workers.

        Returns:
            How many of the jobs are there still; the rest had ended before.
        """
        ...

    def retry(self, lease: Lease, entry_id: str) -> int:
        """Counts one more attempt at a claimed job.

        Returns:
            Its attempts; 0 when it had ended before.
        """
        ...

    def bury(self, lease: Lease, entry_id: str, reason: str, frames: Sequence[Frame] = ()) -> bool:
        """Gives a job up and keeps it among the dead letters, with its event and the reason:
        Thoonk's *stall*.

        Args:
            lease: the partition's.
            entry_id: the job's.
            reason: one sentence.
            frames: what subscribers are told of it, in the same step.

        Returns:
            False when the job had ended before, and nothing was done.
        """
        ...


def partition_of(key: str, partitions: int) -> int:
    """The partition that events of an ordering key go to."""
    return crc32(key.encode()) % partitions
