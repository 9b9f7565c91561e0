"""Publishing an event by hand, from anything that is not a Django model."""

from __future__ import annotations

from functools import cache

from pushgate.connection import connect
from pushgate.event import Event
from pushgate.job_queue import JobQueue
from pushgate.keys import Keys
from pushgate.redis_job_queue import RedisJobQueue
from pushgate.settings import Settings


def publish(event: Event, queue: JobQueue | None = None) -> bool:
    """Puts an event on the job queue; the formatter makes its frames.

    Args:
        event: what happened.
        queue: where to; the one the environment names when not given.

    Returns:
        False when an event of this id was put within the last hour, and nothing was done.

    Raises:
        QueueFull: put it later.
        redis.exceptions.RedisError: it is not known whether it was put; putting the same event
            again is harmless.
    """
    return (queue or _queue_of_environment()).put(event)


@cache
def _queue_of_environment() -> JobQueue:
    settings = Settings.from_environment()
    return RedisJobQueue(connect(settings.redis_url), Keys(settings.namespace), settings.partitions)
