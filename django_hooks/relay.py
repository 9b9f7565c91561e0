"""Moves outbox rows to the job queue: one leader at a time, in order, each row once.

The mark in Redis (source -> id of the last row moved) moves in the same script as the append, so a
relay that dies between any two of its steps leaves nothing half done: its successor reads the mark
and goes on. When Redis was set back or emptied, its mark went with it, and the rows kept since are
moved again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis
from django.db import Error as DatabaseError

from django_hooks.connections import Reachability, one_line
from django_hooks.outbox import Outbox
from pushgate import JobQueue, Lease, LeaseLost, MarkMoved, PushgateError
from pushgate.counting import counted
from pushgate.job_queue import ForwardedRow
from pushgate.leases import LEASE_SECONDS, RELAY, RENEW_SECONDS, LeaseStore

logger = logging.getLogger(__name__)

BATCH_ROWS = 1000
# Redis does nothing else while it appends a batch.
BATCH_BYTES = 4 * 1024 * 1024
IDLE_SECONDS = 1.0
STANDBY_SECONDS = 0.4
HELD_BACK_SECONDS = (0.005, 0.05)
FULL_SECONDS = (0.1, 2.0)
UNREACHABLE_SECONDS = (0.1, 2.0)
WRITERS_NAMED_AFTER_SECONDS = 10.0
PURGE_EVERY_SECONDS = 30.0
PURGE_ROWS = 1000
LOOK_FOR_OUTBOXES_EVERY_SECONDS = 5.0
CHECK_SOURCE_EVERY_SECONDS = 5.0


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


class Relay:
    """One relay process. Any number may run; the one with the lease works.

    Args:
        queue: where rows go.
        leases: where the lease `relay` is kept.
        aliases: the databases that may have an outbox.
        owner: this process, unlike any other that ever ran.
        retention_seconds: how long a row is kept after it was moved.
        wait_for_rows: returns when rows were committed, at the latest after so many seconds.
    """

    def __init__(
        self,
        queue: JobQueue,
        leases: LeaseStore,
        aliases: Sequence[str],
        owner: str,
        *,
        retention_seconds: float,
        wait_for_rows: Callable[[float], object],
    ) -> None:
        self._queue = queue
        self._leases = leases
        self._aliases = tuple(aliases)
        self._owner = owner
        self._retention_seconds = retention_seconds
        self._wait_for_rows = wait_for_rows
        self._lease: Lease | None = None
        self._renewed_at = 0.0
        self._streams: dict[str, _Stream] = {}
        self._look_again_at = 0.0
        self._redis = Reachability(logger, "Redis")

    def run(self, stop: threading.Event) -> None:
        """Take turns until `stop` is set; then release the lease."""
        failures = waits = 0
        while not stop.is_set():
            try:
                turn = self.turn()
                self._redis.found()
                failures = 0
                waits = 0 if turn.moved else waits + 1
                self._pause(turn, waits, stop)
            except (redis.RedisError, PushgateError) as error:
                failures += 1
                self._redis.lost(error, "rows wait in the outbox")
                stop.wait(_jittered(UNREACHABLE_SECONDS, failures))
        self.release()

    def turn(self) -> Turn:
        """Take one turn: hold the lease, move a batch of each outbox, purge now and then.

        Raises:
            RedisError: Redis did not answer. Nothing is lost; take another turn.
        """
        if not self._hold_lease():
            return Turn(leads=False)
        self._look_for_outboxes()
        result = Turn()
        try:
            for stream in self._streams.values():
                assert self._lease is not None
                result |= stream.turn(self._queue, self._lease)
        except LeaseLost:
            logger.warning("the lease was lost: another relay leads")
            self._lease = None
            return Turn(leads=False)
        return result

    def release(self) -> None:
        """Give the lease back, so that the next relay need not wait for its end."""
        if self._lease is None:
            return
        try:
            self._leases.release(self._lease)
        except redis.RedisError as error:
            logger.warning("the lease could not be released: %s", one_line(error))
        self._lease = None

    def _hold_lease(self) -> bool:
        now = time.monotonic()
        if self._lease is None:
            self._lease = self._leases.acquire(RELAY, self._owner, LEASE_SECONDS)
            if self._lease is None:
                return False
            logger.info("leads from now on, as %s", self._owner)
            self._renewed_at = now
            # Others may have moved, purged or replaced what this one knew.
            self._streams.clear()
            self._look_again_at = now
        elif now - self._renewed_at >= RENEW_SECONDS:
            if not self._leases.renew(self._lease, LEASE_SECONDS):
                logger.warning("the lease ran out; asking for it again")
                self._lease = None
                return False
            self._renewed_at = now
        return True

    def _look_for_outboxes(self) -> None:
        """Find the databases with an outbox; one may be migrated while the relay runs."""
        now = time.monotonic()
        if now < self._look_again_at:
            return
        self._look_again_at = now + LOOK_FOR_OUTBOXES_EVERY_SECONDS
        for alias in self._aliases:
            if alias in self._streams:
                continue
            outbox = Outbox(alias)
            try:
                if outbox.exists():
                    self._streams[alias] = _Stream(outbox, self._retention_seconds)
            except DatabaseError as error:
                outbox.disconnect()
                logger.error("database %r cannot be read: %s", alias, one_line(error))

    def _pause(self, turn: Turn, waits: int, stop: threading.Event) -> None:
        if not turn.leads:
            stop.wait(STANDBY_SECONDS * random.uniform(0.5, 1))
        elif turn.full:
            stop.wait(_jittered(FULL_SECONDS, waits))
        elif turn.more:
            return
        elif turn.held_back:
            shortest, longest = HELD_BACK_SECONDS
            stop.wait(min(longest, shortest * 2 ** min(waits, 10)))
        else:
            self._wait_for_rows(IDLE_SECONDS)


class _Stream:
    """One outbox on its way to the queue."""

    def __init__(self, outbox: Outbox, retention_seconds: float) -> None:
        self._outbox = outbox
        self._retention_seconds = retention_seconds
        self._source = ""
        self._check_source_at = 0.0
        self._purge_at = time.monotonic() + PURGE_EVERY_SECONDS * random.random()
        self._held_back_since: float | None = None
        self._failures = 0
        self._resume_at = 0.0
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
            self._resume_at = time.monotonic() + _jittered(UNREACHABLE_SECONDS, self._failures)
            self._database.lost(error, "its rows wait")
            return Turn(failed=True)
        self._failures = 0
        self._database.found()
        self._name_slow_writers(turn)
        return turn

    def _move(self, queue: JobQueue, lease: Lease) -> Turn:
        if time.monotonic() >= self._check_source_at:
            self._check_source(queue)
        mark = queue.mark(self._source)
        after = int(mark or 0)
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
        full = moved < len(batch)
        more = not full and (taken < len(rows) or len(rows) == BATCH_ROWS or not held_back)
        return Turn(moved=moved, full=full, more=more, held_back=held_back)

    def _check_source(self, queue: JobQueue) -> None:
        """Learn the outbox's name; give it a new one where the mark of the old is impossible."""
        source = self._source_name()
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
            source = self._source_name()
        if source != self._source:
            self._source = source
            self._outbox.forget()
        self._check_source_at = time.monotonic() + CHECK_SOURCE_EVERY_SECONDS

    def _source_name(self) -> str:
        return f"{self._outbox.alias}:{self._outbox.identity()}"

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
        if self._outbox.purge(relayed, self._retention_seconds, PURGE_ROWS) == PURGE_ROWS:
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


def _jittered(bounds: tuple[float, float], failures: int) -> float:
    """Return a pause drawn between nothing and a length that doubles with each failure."""
    shortest, longest = bounds
    return random.uniform(0.2, 1) * min(longest, shortest * 2.0 ** min(failures, 10))
