"""The twins of the job queue and the log that live in memory: for tests of a site and of pipelines.
They pass the same tests as the ones in Redis, and lose everything when the process ends.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pushgate.books import Books, LogFacts
from pushgate.channels import check_channel
from pushgate.cursor import Cursor
from pushgate.errors import MarkMoved, QueueFull
from pushgate.event import Event
from pushgate.frames import Frame
from pushgate.job_queue import (
    PARTITION_LIMIT,
    PUT_WINDOW_SECONDS,
    Finished,
    ForwardedRow,
    Job,
    Outcome,
    partition_of,
)
from pushgate.leases import Lease
from pushgate.ledger import Ledger, Source
from pushgate.log import (
    DELETION_WINDOW_SECONDS,
    HISTORY_LENGTH,
    HISTORY_SECONDS,
    HISTORY_SLACK,
    History,
    LogEntry,
    ResetReason,
)
from pushgate.memory_leases import MemoryLeases

Position = tuple[int, int]


def _parsed(entry_id: str) -> Position:
    ms, _, seq = entry_id.partition("-")
    return int(ms), int(seq)


class MemoryLog:
    """See `pushgate.log.Log`.

    Args:
        clock: seconds since 1970; a test may pass its own.

    Attributes:
        deletions: entries that tell of a channel's deletion.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._epoch = secrets.token_hex(4)
        self._last: Position = (int(clock() * 1000), 0)
        self._entries: list[LogEntry] = []
        self._histories: defaultdict[str, list[LogEntry]] = defaultdict(list)
        self._trimmed_to: dict[str, Position] = {}
        self._deletions: dict[str, tuple[str, float]] = {}
        self.deletions = 0

    @property
    def added(self) -> int:
        """How many entries it was ever given."""
        return len(self._entries)

    def append(self, frame: Frame) -> str:
        """Appends one frame to the log and to the history of each of its channels."""
        ms = int(self._clock() * 1000)
        self._last = (ms, 0) if ms > self._last[0] else (self._last[0], self._last[1] + 1)
        entry = LogEntry(f"{self._last[0]}-{self._last[1]}", frame.channels, frame.data)
        self._entries.append(entry)
        for channel in frame.channels:
            history = self._histories[channel]
            history.append(entry)
            surplus = len(history) - HISTORY_LENGTH
            if surplus > HISTORY_SLACK:
                self._trimmed_to[channel] = _parsed(history[surplus - 1].entry_id)
                del history[:surplus]
        return entry.entry_id

    def cursor(self) -> Cursor:
        """See `Log.cursor`."""
        return Cursor(self._epoch, *self._last)

    def begin_epoch(self, epoch: str) -> Cursor:
        """See `Log.begin_epoch`."""
        if epoch == self._epoch:
            self._epoch = secrets.token_hex(4)
        return self.cursor()

    def after(self, entry_id: str, count: int) -> list[LogEntry]:
        """See `Log.after`."""
        position = _parsed(entry_id)
        return [e for e in self._entries if _parsed(e.entry_id) > position][:count]

    def delete_channel(self, channel: str, deletion_id: str = "") -> str:
        """See `Log.delete_channel`."""
        check_channel(channel)
        done = self._deletions.get(deletion_id)
        if done is not None and done[1] > self._clock():
            return done[0]
        entry_id = self.append(Frame((channel,), b""))
        self.deletions += 1
        self._histories[channel].clear()
        self._trimmed_to[channel] = _parsed(entry_id)
        if deletion_id:
            self._deletions[deletion_id] = (entry_id, self._clock() + DELETION_WINDOW_SECONDS)
        return entry_id

    def history(self, channel: str, cursor: Cursor) -> History:
        """See `Log.history`."""
        if cursor.epoch != self._epoch:
            return History(reset=ResetReason.EPOCH)
        position = (cursor.ms, cursor.seq)
        too_old = cursor.ms < (int(self._clock()) - HISTORY_SECONDS) * 1000
        if too_old or self._trimmed_to.get(channel, (0, 0)) > position:
            return History(reset=ResetReason.HISTORY)
        return History(tuple(e for e in self._histories[channel] if _parsed(e.entry_id) > position))


@dataclass(frozen=True, slots=True)
class MemoryDeadLetter:
    """A job given up.

    Attributes:
        entry_id: the job's.
        attempts: how often it had been claimed.
        reason: why it was given up.
        body: the event's JSON.
    """

    entry_id: str
    attempts: int
    reason: str
    body: bytes


@dataclass
class _Partition:
    jobs: dict[str, bytes] = field(default_factory=dict)
    attempts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


class MemoryJobQueue:
    """See `pushgate.job_queue.JobQueue`. Safe to share between threads.

    Args:
        partitions: how many.
        limit: jobs a partition may hold.
        clock: seconds, for leases and the put window; a test may pass its own.

    Attributes:
        log: where the frames of jobs that ended go.
        dead_letters: what was given up, first to last.
    """

    def __init__(
        self,
        partitions: int = 8,
        limit: int = PARTITION_LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.partitions = partitions
        self.leases = MemoryLeases(clock)
        self.log = MemoryLog()
        self.dead_letters: list[MemoryDeadLetter] = []
        self._limit = limit
        self._clock = clock
        self._changed = threading.Condition(threading.RLock())
        self._partitions = [_Partition() for _ in range(partitions)]
        self._marks: dict[str, str] = {}
        self._relayed: defaultdict[str, int] = defaultdict(int)
        self._gone: defaultdict[str, int] = defaultdict(int)
        self._put_until: dict[str, float] = {}
        self._sequence = 0
        self._books: defaultdict[str, int] = defaultdict(int)

    def put(self, event: Event) -> bool:
        """See `JobQueue.put`."""
        with self._changed:
            if self._put_until.get(event.id, 0.0) > self._clock():
                return False
            if self._is_full(event.key):
                raise QueueFull(
                    f"event {event.id}: its partition holds {self._limit} jobs; put it later"
                )
            self._put_until[event.id] = self._clock() + PUT_WINDOW_SECONDS
            self._append(event.key, event.to_json())
            self._books["put"] += 1
            return True

    def mark(self, source: str) -> str:
        """See `JobQueue.mark`."""
        return self._marks.get(source, "")

    def take_back_partitions(self) -> None:
        """See `JobQueue.take_back_partitions`."""
        for name in range(self.partitions):
            self.leases.expire(str(name))

    def forward(self, lease: Lease, source: str, after: str, rows: Sequence[ForwardedRow]) -> int:
        """See `JobQueue.forward`."""
        with self._changed:
            self._check(lease)
            if self.mark(source) != after:
                raise MarkMoved(source, after, self.mark(source))
            for appended, (mark, key, body) in enumerate(rows):
                if self._is_full(key):
                    return appended
                self._append(key, body)
                self._marks[source] = mark
                self._relayed[source] += 1
            return len(rows)

    def skip_gone(self, lease: Lease, source: str, after: str, rows: int) -> int:
        """See `JobQueue.skip_gone`."""
        with self._changed:
            self._check(lease)
            if self.mark(source) != after:
                raise MarkMoved(source, after, self.mark(source))
            self._gone[source] = max(0, rows - self._relayed[source])
            return self._gone[source]

    def claim(self, lease: Lease, after: str, count: int) -> list[Job]:
        """See `JobQueue.claim`."""
        with self._changed:
            partition = self._check(lease)
            found = [e for e in partition.jobs if _parsed(e) > _parsed(after)][:count]
            for entry_id in found:
                partition.attempts[entry_id] += 1
            return [Job(e, partition.jobs[e], partition.attempts[e]) for e in found]

    def wait(self, positions: Mapping[str, str], seconds: float) -> set[str]:
        """See `JobQueue.wait`."""

        def ready() -> set[str]:
            return {
                name
                for name, after in positions.items()
                if any(_parsed(e) > _parsed(after) for e in self._partitions[int(name)].jobs)
            }

        with self._changed:
            return self._changed.wait_for(ready, timeout=seconds)

    def paused(self) -> set[str]:
        """See `JobQueue.paused`: nobody can pause a partition of this queue."""
        return set()

    def finish(self, lease: Lease, finished: Sequence[Finished]) -> int:
        """See `JobQueue.finish`."""
        with self._changed:
            partition = self._check(lease)
            ended = 0
            for job in finished:
                if partition.jobs.pop(job.entry_id, None) is None:
                    continue
                self._publish(job.frames)
                partition.attempts.pop(job.entry_id, None)
                self._book(job.outcome)
                ended += 1
            return ended

    def cancel(self, lease: Lease, entry_ids: Sequence[str]) -> int:
        """See `JobQueue.cancel`."""
        with self._changed:
            partition = self._check(lease)
            found = [entry_id for entry_id in entry_ids if entry_id in partition.jobs]
            for entry_id in found:
                partition.attempts[entry_id] = max(0, partition.attempts[entry_id] - 1)
            return len(found)

    def retry(self, lease: Lease, entry_id: str) -> int:
        """See `JobQueue.retry`."""
        with self._changed:
            partition = self._check(lease)
            if entry_id not in partition.jobs:
                return 0
            partition.attempts[entry_id] += 1
            return partition.attempts[entry_id]

    def bury(self, lease: Lease, entry_id: str, reason: str, frames: Sequence[Frame] = ()) -> bool:
        """See `JobQueue.bury`."""
        with self._changed:
            partition = self._check(lease)
            body = partition.jobs.pop(entry_id, None)
            if body is None:
                return False
            attempts = partition.attempts.pop(entry_id, 0)
            self.dead_letters.append(MemoryDeadLetter(entry_id, attempts, reason, body))
            self._publish(frames)
            self._book("dead")
            return True

    def ledger(self) -> Ledger:
        """The books of this queue."""
        with self._changed:
            return Ledger(
                **self._books, relayed=sum(self._relayed.values()), deletions=self.log.deletions
            )

    def books(self) -> Books:
        """The books and what they are compared with, as of one moment."""
        with self._changed:
            return Books(
                ledger=self.ledger(),
                epoch=self.log.cursor().epoch,
                sources={
                    source: Source(self.mark(source), self._relayed[source], self._gone[source])
                    for source in sorted({*self._relayed, *self._gone})
                },
                jobs=[len(partition.jobs) for partition in self._partitions],
                letters=len(self.dead_letters),
                log=LogFacts(self.log.added, self.log.cursor().entry_id),
            )

    def _publish(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self.log.append(frame)
            self._books["frames"] += 1

    def _append(self, key: str, body: bytes) -> None:
        self._sequence += 1
        partition = self._partitions[partition_of(key, self.partitions)]
        partition.jobs[f"1-{self._sequence}"] = body
        self._books["queued"] += 1
        self._changed.notify_all()

    def _is_full(self, key: str) -> bool:
        jobs = self._partitions[partition_of(key, self.partitions)].jobs
        return len(jobs) >= self._limit

    def _book(self, outcome: Outcome | str) -> None:
        self._books[str(outcome)] += 1
        self._books["queued"] -= 1

    def _check(self, lease: Lease) -> _Partition:
        if not self.leases.holds(lease):
            self._books["refused"] += 1
            raise lease.lost()
        return self._partitions[int(lease.name) if lease.name.isdecimal() else 0]
