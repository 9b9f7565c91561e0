"""Publishing an event by hand, from anything that is not a Django model."""

from __future__ import annotations

from functools import cache

import redis

from pushgate.connection import connect
from pushgate.event import Event
from pushgate.frames import frame_of
from pushgate.job_queue import PUT_WINDOW_SECONDS, JobQueue
from pushgate.keys import Keys
from pushgate.log import HISTORY_LENGTH, HISTORY_SECONDS, LOG_LENGTH, Log, RedisLog
from pushgate.redis_job_queue import RedisJobQueue
from pushgate.scripts import Script
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


def publish_straight(client: redis.Redis, keys: Keys, event: Event) -> str:
    """Appends an event's frame to the log, past queue and formatter, as the gateway's `/pub` does.

    No pipeline sees it and no order holds between it and the events on the queue.

    Returns:
        The log's entry id; the earlier one's when the event was published within the last hour.
    """
    frame = frame_of(event)
    entry_id = Script(client, "publish")(
        [keys.log, keys.ledger, keys.put(event.id), *map(keys.channel, frame.channels)],
        [
            " ".join(frame.channels),
            frame.data,
            HISTORY_LENGTH,
            HISTORY_SECONDS,
            LOG_LENGTH,
            PUT_WINDOW_SECONDS,
        ],
    )
    return str(entry_id.decode())


def delete_channel(channel: str, log: Log | None = None, deletion_id: str = "") -> str:
    """Empties a channel's history and has every gateway tell its subscribers: `event: reset` with
    the reason `deleted`. A page then reads its data anew.

    Args:
        channel: which.
        log: where; the one the environment names when not given.
        deletion_id: the same one deletes once within an hour; made when not given.

    Returns:
        The entry of the log that tells of it.

    Raises:
        InvalidChannel: the name breaks the rule.
        redis.exceptions.RedisError: it is not known whether it was deleted; the same call with the
            same deletion id is harmless.
    """
    return (log or _log_of_environment()).delete_channel(channel, deletion_id)


@cache
def _log_of_environment() -> Log:
    settings = Settings.from_environment()
    return RedisLog(connect(settings.redis_url), Keys(settings.namespace))


@cache
def _queue_of_environment() -> JobQueue:
    settings = Settings.from_environment()
    return RedisJobQueue(connect(settings.redis_url), Keys(settings.namespace), settings.partitions)
