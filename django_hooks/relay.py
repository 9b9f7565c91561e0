"""Moves outbox rows to the job queue: one leader at a time, in order, each row once.

The mark in Redis (source -> id of the last row moved) moves in the same script as the append, so a
relay that dies between any two of its steps leaves nothing half done: its successor reads the mark
and goes on. When Redis was set back or emptied, its mark went with it, and the rows kept since are
moved again.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence

import redis
from django.db import Error as DatabaseError
from django.db import connections

from django_hooks import backoff
from django_hooks.connections import Reachability, one_line
from django_hooks.database_watch import DatabaseWatch
from django_hooks.outbox import Outbox
from django_hooks.outbox_stream import Known, OutboxStream, StreamRules, Turn
from django_hooks.settings import HooksSettings
from pushgate import (
    JobQueue,
    Keys,
    Lease,
    LeaseLost,
    Log,
    PushgateError,
    RedisJobQueue,
    RedisLog,
    connect,
)
from pushgate.leases import RELAY, RELAY_LEASE_SECONDS, RELAY_RENEW_SECONDS

logger = logging.getLogger(__name__)

IDLE_SECONDS = 0.5
STANDBY_SECONDS = 0.4
HELD_BACK_SECONDS = (0.005, 0.05)
# Well within the lease: who pauses for as long as it lasts loses it each time.
FULL_SECONDS = (0.1, 1.0)
LOOK_FOR_OUTBOXES_EVERY_SECONDS = 5.0
# Sooner after a database that could not be read: its rows wait.
LOOK_AGAIN_SECONDS = (0.1, LOOK_FOR_OUTBOXES_EVERY_SECONDS)


class Relay:
    """One relay process. Any number may run; the one with the lease works.

    Args:
        queue: where rows go; with it is the lease `relay`.
        log: whose epoch ends when Redis was set back.
        aliases: the databases that may have an outbox.
        owner: this process, unlike any other that ever ran.
        rules: how long rows are kept, and when their waiting is an alarm.
        wait_for_rows: returns when rows were committed, at the latest after so many seconds.
    """

    def __init__(
        self,
        queue: JobQueue,
        log: Log,
        aliases: Sequence[str],
        owner: str,
        *,
        rules: StreamRules,
        wait_for_rows: Callable[[float], object],
    ) -> None:
        self._queue = queue
        self._log = log
        self._aliases = tuple(aliases)
        self._owner = owner
        self._rules = rules
        self._wait_for_rows = wait_for_rows
        self._lease: Lease | None = None
        self._renewed_at = 0.0
        self._streams: dict[str, OutboxStream] = {}
        self._known = Known()
        self._names: dict[str, str] = {}
        self._look_again_at = 0.0
        self._failed_looks = 0
        self._left_alone_until: dict[str, float] = {}
        self._redis = Reachability(logger, "Redis")
        self._watch = DatabaseWatch()

    @property
    def owner(self) -> str:
        """What this relay is called in its lease."""
        return self._owner

    @property
    def watch(self) -> DatabaseWatch:
        """To be entered by who takes turns; `run` and `run_for` do."""
        return self._watch

    def run(self, stop: threading.Event) -> None:
        """Take turns until `stop` is set; then release the lease."""
        with self._watch:
            self._run(stop)
        self.release()

    def _run(self, stop: threading.Event) -> None:
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
                for alias, stream in self._streams.items():
                    with self._watch.over(alias):
                        stream.look_at_waiting("Redis cannot be reached")
                stop.wait(backoff.jittered(backoff.UNREACHABLE_SECONDS, failures))

    def run_for(self, seconds: float) -> int:
        """Move rows for so long, or what is there if 0; not at all where another relay leads.

        Returns:
            How many rows were moved.

        Raises:
            RedisError: Redis did not answer. The rows wait.
        """
        with self._watch:
            try:
                return self._run_for(seconds)
            finally:
                self.release()
                self._watch.give_back()

    def _run_for(self, seconds: float) -> int:
        ends = time.monotonic() + seconds
        moved = waits = 0
        while True:
            turn = self.turn()
            moved += turn.moved
            waits = 0 if turn.moved else waits + 1
            if not turn.leads:
                return moved
            left = ends - time.monotonic()
            if left <= 0 and (not turn.more or seconds > 0):
                return moved
            self._pause(turn, waits, threading.Event(), left)

    def turn(self) -> Turn:
        """Take one turn: hold the lease, move a batch of each outbox, purge now and then.

        Raises:
            RedisError: Redis did not answer. Nothing is lost; take another turn.
        """
        lease = self._hold_lease()
        if lease is None:
            return Turn(leads=False)
        self._look_for_outboxes()
        result, asked = Turn(), None
        for alias, stream in list(self._streams.items()):
            # Whoever was asked before may have taken longer than the lease lasts.
            held = self._hold_lease()
            if held != lease:
                self._leave_alone(asked)
                return result | Turn(more=True) if held else Turn(False, result.moved)
            asked = alias
            try:
                with self._watch.over(alias):
                    result |= stream.turn(self._queue, lease)
            except LeaseLost:
                logger.warning("the lease was lost: another relay leads")
                self._lease = None
                self._leave_alone(asked)
                return Turn(False, result.moved)
        return result

    def release(self) -> None:
        """Give the lease back, so that the next relay need not wait for its end."""
        if self._lease is None:
            return
        try:
            self._queue.leases.release(self._lease)
        except redis.RedisError as error:
            logger.warning("the lease could not be released: %s", one_line(error))
        self._lease = None

    def _hold_lease(self) -> Lease | None:
        """Return the lease: renewed if it is due, another one if it ran out, or None."""
        now = time.monotonic()
        if self._lease is not None:
            if now - self._renewed_at < RELAY_RENEW_SECONDS:
                return self._lease
            if self._queue.leases.renew(self._lease, RELAY_LEASE_SECONDS):
                self._renewed_at = now
                return self._lease
            logger.warning("the lease ran out; asking for it again")
        self._lease = self._queue.leases.acquire(RELAY, self._owner, RELAY_LEASE_SECONDS)
        if self._lease is not None:
            logger.info("leads from now on, as %s", self._owner)
            self._renewed_at = now
            # Others may have moved, purged or replaced what this one knew. Its connections are as
            # old, and may have broken since with nobody to notice.
            for stream in self._streams.values():
                stream.disconnect()
            self._streams.clear()
            self._names.clear()
            self._look_again_at = now
        return self._lease

    def _look_for_outboxes(self) -> None:
        """Find the databases with an outbox; one may be migrated while the relay runs."""
        now = time.monotonic()
        if now < self._look_again_at:
            return
        self._look_again_at = now + LOOK_FOR_OUTBOXES_EVERY_SECONDS
        failed = False
        for alias in self._aliases:
            if alias in self._streams or now < self._left_alone_until.get(alias, 0.0):
                continue
            outbox = Outbox(alias)
            asked_at = time.monotonic()
            try:
                with self._watch.over(alias):
                    is_wanted = outbox.exists() and self._is_first_name(outbox)
                if is_wanted:
                    self._streams[alias] = OutboxStream(outbox, self._log, self._rules, self._known)
            except DatabaseError as error:
                outbox.disconnect()
                logger.error("database %r cannot be read: %s", alias, one_line(error))
                failed = True
                if time.monotonic() - asked_at >= RELAY_RENEW_SECONDS:
                    self._leave_alone(alias)
        self._failed_looks = self._failed_looks + 1 if failed else 0
        if failed:
            pause = backoff.jittered(LOOK_AGAIN_SECONDS, self._failed_looks)
            self._look_again_at = time.monotonic() + pause

    def _leave_alone(self, alias: str | None) -> None:
        """Ask a database that took long, or may have, only when the others have had their time."""
        if alias is not None and len(self._aliases) > 1:
            until = time.monotonic() + LOOK_FOR_OUTBOXES_EVERY_SECONDS
            self._left_alone_until[alias] = until

    def _is_first_name(self, outbox: Outbox) -> bool:
        """Whether no other alias stands for the same database: its rows must go once."""
        place = outbox.place()
        return self._names.setdefault(place, outbox.alias) == outbox.alias

    def _pause(
        self, turn: Turn, waits: int, stop: threading.Event, longest_wait: float = IDLE_SECONDS
    ) -> None:
        if not turn.leads:
            stop.wait(STANDBY_SECONDS * random.uniform(0.5, 1))
        elif turn.full:
            stop.wait(backoff.jittered(FULL_SECONDS, waits))
        elif turn.more:
            return
        elif turn.held_back:
            shortest, longest = HELD_BACK_SECONDS
            stop.wait(min(longest, shortest * 2 ** min(waits, 10)))
        else:
            # Never 0, which to Redis is for ever.
            self._wait_for_rows(max(0.01, min(IDLE_SECONDS, longest_wait)))


def relay_of(settings: HooksSettings, client: redis.Redis | None = None) -> Relay:
    """Return a relay for this site, with a connection to Redis of its own.

    Args:
        settings: the site's.
        client: another connection to Redis, for tests.
    """
    redis_client, keys = client or connect(settings.redis_url), Keys(settings.namespace)

    def wait_for_rows(seconds: float) -> object:
        return redis_client.blpop([keys.relay_wake], timeout=seconds)

    return Relay(
        RedisJobQueue(redis_client, keys, partitions=settings.partitions),
        RedisLog(redis_client, keys),
        list(connections),
        f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
        rules=StreamRules(settings.retention_seconds, settings.alarm_seconds),
        wait_for_rows=wait_for_rows,
    )
