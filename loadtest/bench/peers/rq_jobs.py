"""RQ's jobs, with RQ's own defaults: a job that ended is kept for 500 s.

To delete it at once instead (`result_ttl=0`) takes RQ half as long again.
"""

from __future__ import annotations

import redis
from rq import Queue

from loadtest.bench.peers.marks import among_marks, leave, redis_url

_AT_ONCE = 500


def idle() -> None:
    """Do nothing."""


def mark(name: str) -> None:
    """Leave a mark."""
    leave(name)


def put_jobs(first: int, jobs: int) -> None:
    """Put the jobs on the queue."""
    queue = Queue(connection=redis.Redis.from_url(redis_url()))

    def put(count: int) -> None:
        for start in range(0, count, _AT_ONCE):
            queue.enqueue_many([Queue.prepare_data(idle)] * min(_AT_ONCE, count - start))

    among_marks(put, lambda name: queue.enqueue(mark, name), first, jobs)
