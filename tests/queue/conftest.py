"""Every test here runs on the job queue in Redis and on its twin in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from pushgate import (
    JobQueue,
    Keys,
    Lease,
    Ledger,
    Log,
    MemoryJobQueue,
    RedisJobQueue,
    RedisLog,
    connect,
    read_ledger,
)
from stack.redis_server import RedisServer

LIMIT = 20


@dataclass
class QueueUnderTest:
    """A job queue with what the tests look at.

    Attributes:
        expire: makes a lease run out now.
        reason_of_dead: entry id -> reason of each dead letter.
    """

    queue: JobQueue
    log: Log
    ledger: Callable[[], Ledger]
    expire: Callable[[Lease], None]
    reasons_of_dead: Callable[[], list[str]]


@pytest.fixture(params=["memory", "redis"])
def under_test(request: pytest.FixtureRequest, redis_namespace: str) -> Iterator[QueueUnderTest]:
    """A queue of four partitions of at most `LIMIT` jobs, with nothing in it."""
    if request.param == "memory":
        yield memory_queue()
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    with connect(server.url) as client:
        keys = Keys(redis_namespace)
        yield QueueUnderTest(
            queue=RedisJobQueue(client, keys, partitions=4, limit=LIMIT),
            log=RedisLog(client, keys),
            ledger=lambda: read_ledger(client, keys),
            expire=lambda lease: client.delete(keys.lease(lease.name)),
            reasons_of_dead=lambda: [
                fields[b"reason"].decode() for _, fields in client.xrange(keys.dead)
            ],
        )


def memory_queue() -> QueueUnderTest:
    """The twin, with a clock that only `expire` moves."""
    now = 1000.0
    memory = MemoryJobQueue(partitions=4, limit=LIMIT, clock=lambda: now)

    def expire(lease: Lease) -> None:
        nonlocal now
        now += 60

    return QueueUnderTest(
        queue=memory,
        log=memory.log,
        ledger=memory.ledger,
        expire=expire,
        reasons_of_dead=lambda: [reason for _, reason, _ in memory.dead_letters],
    )
