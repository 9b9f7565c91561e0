"""One outbox on its way to the queue: batches, what is held back, refused, purged, and alarms."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import Error as DatabaseError

from django_hooks import backoff
from django_hooks.connections import Reachability
from django_hooks.outbox import Outbox
from pushgate import JobQueue, Lease, Log, MarkMoved, PushgateError
from pushgate.counting import counted
from pushgate.job_queue import ForwardedRow

logger = logging.getLogger(__name__)

BATCH_ROWS = 1000
# Redis does nothing else while it appends a batch.
BATCH_BYTES = 4 * 1024 * 1024
WRITERS_NAMED_AFTER_SECONDS = 10.0
PURGE_EVERY_SECONDS = 30.0
PURGE_ROWS = 1000
CHECK_SOURCE_EVERY_SECONDS = 5.0
ALARM_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of the relay did.

    Attributes:
        leads: this relay holds the lease.
        moved: rows appended to the queue.
        more: there is more to do at once.
        held_back: rows wait for a transaction that has not ended.
        full: a partition of the queue is full.
        failed: a database could not be read.
    """

    leads: bool = True
    moved: int = 0
    more: bool = False
    held_back: bool = False
    full: bool = False
    failed: bool = False

    def __or__(self, other: Turn) -> Turn:
        return Turn(
            self.leads and other.leads,
            self.moved + other.moved,
            self.more or other.more,
            self.held_back or other.held_back,
            self.full or other.full,
            self.failed or other.failed,
        )


@dataclass(frozen=True, slots=True)
class StreamRules:
    """What a site decides about its outboxes.

    Attributes:
        retention_seconds: how long a row is kept after it was moved.
        alarm_seconds: a row that waits longer is an alarm.
    """

    retention_seconds: float
    alarm_seconds: float


@dataclass(slots=True)
class Known:
    """What a relay's process has seen of Redis, for as long as it runs, leading or not.

    Attributes:
        marks: source -> its mark.
        epoch: the log's.
    """

    marks: dict[str, int] = field(default_factory=dict)
    epoch: str = ""


class OutboxStream:
    """One outbox on its way to the queue, as long as this relay leads.

    Args:
        outbox: the outbox.
        log: whose epoch ends when Redis was set back.
        rules: the site's.
        known: the process' own.
    """

    def __init__(self, outbox: Outbox, log: Log, rules: StreamRules, known: Known) -> None:
        self._outbox = outbox
        self._log = log
        self._rules = rules
        self._known = known
        self._source = ""
        self._purged_until = self._gone = 0
        self._check_source_at = 0.0
        self._purge_at = time.monotonic() + PURGE_EVERY_SECONDS * random.random()
        self._held_back_since: float | None = None
        self._failures = 0
        self._resume_at = 0.0
        self._look_at = 0.0
        self._alarm_at = 0.0
        self._alarmed = False
        self._database = Reachability(logger, f"database {outbox.alias!r}")

    def turn(self, queue: JobQueue, lease: Lease) -> Turn:
        if time.monotonic() < self._resume_at:
            return Turn(failed=True)
        try:
            self._outbox.reconnect_if_needed()
            turn = self._move(queue, lease)
        except DatabaseError as error:
            self._outbox.disconnect()
            self._check_source_at = 0.0
            self._failures += 1
            self._resume_at = time.monotonic() + backoff.jittered(
                backoff.UNREACHABLE_SECONDS, self._failures
            )
            self._database.lost(error, "its rows wait")
            return Turn(failed=True)
        self._failures = 0
        self._database.found()
        self._name_slow_writers(turn)
        self.look_at_waiting(_reason(turn))
        return turn

    def disconnect(self) -> None:
        """Close its connection; who asks the database next opens another."""
        self._outbox.disconnect()

    def look_at_waiting(self, reason: str) -> None:
        """Raise the alarm, now and then, while the oldest row waits too long.

        Args:
            reason: why it may wait, for the log.
        """
        now = time.monotonic()
        if now < self._look_at or not self._source:
            return
        self._look_at = now + CHECK_SOURCE_EVERY_SECONDS
        try:
            state = self._outbox.state(self._known.marks.get(self._source, 0))
        except DatabaseError as error:
            self._outbox.disconnect()
            self._database.lost(error, "its rows wait")
            return
        name, alarm_seconds = self._outbox.alias, self._rules.alarm_seconds
        if state.oldest_seconds <= alarm_seconds:
            if self._alarmed:
                logger.warning("database %r: no row waits longer than %g s", name, alarm_seconds)
            self._alarmed, self._alarm_at = False, 0.0
        elif now >= self._alarm_at:
            logger.error("%s; %s", state, reason)
            self._alarmed, self._alarm_at = True, now + ALARM_AGAIN_SECONDS

    def _move(self, queue: JobQueue, lease: Lease) -> Turn:
        if time.monotonic() >= self._check_source_at:
            self._check_source(queue)
        mark = self._mark(queue)
        after = int(mark or 0)
        if after < self._purged_until:
            self._skip_gone(queue, lease, mark)
        until = self._outbox.settled(after)
        held_back = bool(self._outbox.writers)
        rows = self._outbox.rows(after, until, BATCH_ROWS) if until > after else ()
        if not rows:
            return Turn(held_back=held_back, more=self._purge(after))
        batch, taken = self._batch(rows)
        if not batch:
            return Turn(more=True, held_back=held_back)
        try:
            moved = queue.forward(lease, self._source, mark, batch)
        except MarkMoved as error:
            logger.warning("%s", error)
            return Turn(more=True, held_back=held_back)
        if moved:
            self._known.marks[self._source] = int(batch[moved - 1][0])
        # Here too: where rows come all the time, no turn finds none. What is left is due still.
        self._purge(self._known.marks[self._source])
        full = moved < len(batch)
        more = not full and (taken < len(rows) or len(rows) == BATCH_ROWS or not held_back)
        return Turn(moved=moved, full=full, more=more, held_back=held_back)

    def _mark(self, queue: JobQueue) -> str:
        """Return the mark. Where it went back, Redis lost its end: what it had shown since, too.

        The epoch ends before a row is moved again, so that no subscriber is told twice.
        """
        mark = queue.mark(self._source)
        highest = self._known.marks.get(self._source, 0)
        if int(mark or 0) < highest:
            queue.take_back_partitions()
            now = self._log.begin_epoch(self._known.epoch)
            logger.warning(
                "Redis was set back: database %r was relayed up to row %d and is now up to %s; "
                "what is kept since is relayed again, in epoch %s",
                self._outbox.alias,
                highest,
                mark or 0,
                now.epoch,
            )
            self._known.epoch = now.epoch
            # Before the database is asked, which may not answer: one set-back ends one epoch.
            self._known.marks[self._source] = int(mark or 0)
            self._purged_until = self._outbox.purged_until()
        self._known.marks[self._source] = int(mark or 0)
        return mark

    def _skip_gone(self, queue: JobQueue, lease: Lease, mark: str) -> None:
        """Book the rows that Redis has lost and the outbox has purged: nobody can relay them."""
        # Of the rows up to the mark alone: to count a whole outbox can outlast the lease.
        committed = self._outbox.committed_until(int(mark or 0))
        try:
            gone = queue.skip_gone(lease, self._source, mark, committed)
        except MarkMoved as error:
            logger.warning("%s", error)
            return
        # Looked at again with the source; until then it stands.
        self._purged_until = 0
        if gone != self._gone:
            logger.warning(
                "database %r: %d rows were relayed to a Redis that was emptied or set back since, "
                "and are purged; they are booked as gone",
                *(self._outbox.alias, gone),
            )
        self._gone = gone

    def _check_source(self, queue: JobQueue) -> None:
        """Learn the outbox's name; give it a new one where the mark of the old is impossible."""
        source = self._outbox.source()
        mark, highest = int(queue.mark(source) or 0), self._outbox.highest_id()
        if mark > highest:
            logger.warning(
                "database %r was set back: row %d was relayed, but only %d were ever written; "
                "relaying all rows it holds",
                self._outbox.alias,
                mark,
                highest,
            )
            self._outbox.renew_identity()
            source = self._outbox.source()
        if source != self._source:
            self._source = source
            self._outbox.forget()
        self._purged_until = self._outbox.purged_until()
        # First whether it was set back: by then the log may have an epoch that nobody was shown.
        self._mark(queue)
        self._known.epoch = self._log.cursor().epoch
        self._check_source_at = time.monotonic() + CHECK_SOURCE_EVERY_SECONDS

    def _batch(self, rows: Sequence[tuple[int, str]]) -> tuple[list[ForwardedRow], int]:
        """Return the rows as the queue takes them, as many as fit a batch, and how many that took.

        Each has its row's id for its mark and its version.
        """
        batch: list[ForwardedRow] = []
        size = taken = 0
        for row_id, text in rows:
            size += len(text)
            if size > BATCH_BYTES and batch:
                break
            taken += 1
            try:
                batch.append((str(row_id), *counted(text, row_id)))
            except PushgateError as error:
                # One row nobody can read must not stop those behind it, nor vanish.
                logger.error(
                    "database %r, outbox row %d is not an event and is kept aside: %s",
                    self._outbox.alias,
                    row_id,
                    error,
                )
                self._outbox.refuse(row_id, str(error))
        return batch, taken

    def _purge(self, relayed: int) -> bool:
        """Delete some old rows when it is time; True when there are more of them."""
        if time.monotonic() < self._purge_at:
            return False
        if self._outbox.purge(relayed, self._rules.retention_seconds, PURGE_ROWS) == PURGE_ROWS:
            return True
        self._purge_at = time.monotonic() + PURGE_EVERY_SECONDS
        return False

    def _name_slow_writers(self, turn: Turn) -> None:
        now = time.monotonic()
        if not turn.held_back or turn.moved:
            self._held_back_since = None
        elif self._held_back_since is None:
            self._held_back_since = now
        elif now - self._held_back_since > WRITERS_NAMED_AFTER_SECONDS:
            logger.warning(
                "database %r: rows have been waiting for %.0f s for transactions that wrote to the "
                "outbox and have not ended: %s",
                self._outbox.alias,
                now - self._held_back_since,
                ", ".join(sorted(self._outbox.writers)),
            )
            self._held_back_since = now


def _reason(turn: Turn) -> str:
    if turn.full:
        return "the job queue is full"
    if turn.held_back:
        return "a transaction that wrote to the outbox has not ended"
    return "the relay is catching up"
