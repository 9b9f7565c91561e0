"""dramatiq's jobs.

The default middleware; no results, which is the default too.
"""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from loadtest.bench.peers.marks import among_marks, leave, redis_url

broker = RedisBroker(url=redis_url())
dramatiq.set_broker(broker)


@dramatiq.actor
def idle() -> None:
    """Do nothing."""


@dramatiq.actor
def mark(name: str) -> None:
    """Leave a mark."""
    leave(name)


def put_jobs(first: int, jobs: int) -> None:
    """Put the jobs on the queue."""

    def put(count: int) -> None:
        for _ in range(count):
            idle.send()

    among_marks(put, lambda name: mark.send(name), first, jobs)
