"""Wakes the relay when a transaction with events has committed.

Only a nudge, from a thread of its own: the request neither waits for Redis nor fails with it, and a
nudge that is lost costs the second until the relay looks by itself.
"""

from __future__ import annotations

import logging
import os
import threading
import time

import redis
from django.db.backends.base.base import BaseDatabaseWrapper

from django_hooks import connections

logger = logging.getLogger(__name__)

# After a wake-up call the next waits so long: a process that saves without pause would otherwise
# spend more on them than on its saves. The first is never late.
PAUSE_SECONDS = 0.002

_nudgers: dict[int, Nudger] = {}


def nudge() -> None:
    """Wake the relay soon. Returns at once, always."""
    # By process id: a fork copies this dict but not the thread, and perhaps a locked lock.
    pid = os.getpid()
    nudger = _nudgers.get(pid)
    if nudger is None:
        nudger = _nudgers.setdefault(pid, Nudger())
    nudger.nudge()


def nudge_at_commit(connection: BaseDatabaseWrapper) -> None:
    """Wake the relay when the transaction open on `connection` commits; once for writes in turn."""
    waiting = connection.run_on_commit
    # A savepoint that takes the last nudge back takes these writes back as well.
    if not (waiting and waiting[-1][1] is nudge):
        connection.on_commit(nudge, robust=True)


class Nudger:
    """One process's thread that wakes the relay. Many nudges at once are one."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._redis = connections.Reachability(logger, "Redis")

    def nudge(self) -> None:
        """Ask the thread, started when there is none, to wake the relay."""
        self._wanted.set()
        if self._thread is None or not self._thread.is_alive():
            with self._starting:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(
                        target=self._run, name="pushgate-wake", daemon=True
                    )
                    self._thread.start()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                wake_relay(connections.client(), connections.keys().relay_wake)
            except redis.RedisError as error:
                self._redis.lost(error, "events wait in the outbox")
            else:
                self._redis.found()
            time.sleep(PAUSE_SECONDS)


def wake_relay(client: redis.Redis, key: str) -> None:
    """Leave one element in the list the relay waits at."""
    # No transaction: between the two the list is longer than it need be, which does no harm.
    with client.pipeline(transaction=False) as pipeline:
        pipeline.rpush(key, 1)
        pipeline.ltrim(key, -1, -1)
        pipeline.execute()
