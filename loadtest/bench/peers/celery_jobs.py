"""Celery's jobs.

Settings as Celery's guides on optimising recommend for many short tasks: early acknowledgement, no
results, JSON, a large prefetch, no rate limits; no events, gossip, mingle or heartbeat.
"""

from __future__ import annotations

from celery import Celery

from loadtest.bench.peers.marks import among_marks, leave, redis_url

app = Celery("bench", broker=redis_url())
app.conf.update(
    task_ignore_result=True,
    task_acks_late=False,
    task_serializer="json",
    worker_prefetch_multiplier=500,
    worker_disable_rate_limits=True,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task  # type: ignore[untyped-decorator]
def idle() -> None:
    """Do nothing."""


@app.task  # type: ignore[untyped-decorator]
def mark(name: str) -> None:
    """Leave a mark."""
    leave(name)


def put_jobs(first: int, jobs: int) -> None:
    """Put the jobs on the queue."""
    with app.producer_pool.acquire() as producer:

        def put(count: int) -> None:
            for _ in range(count):
                idle.apply_async(producer=producer)

        among_marks(put, lambda name: mark.apply_async((name,), producer=producer), first, jobs)
