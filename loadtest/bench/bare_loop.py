"""`python -m loadtest.bench.bare_loop commands|scripts`: what `queue_worker` is compared with.

Plain loops that work off the queue in the environment, one partition after the other. Neither
decodes an event, has a pipeline, renews a lease or goes on after a failure; both find each job's
frame ready made.

- commands: the Redis commands of the scripts, in pipelines of 100 jobs.
- scripts: the job queue's own `claim` and `finish`, 100 jobs each.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis

from pushgate import Finished, Frame, Keys, Lease, RedisJobQueue, Settings, connect
from pushgate.job_queue import FROM_THE_START
from pushgate.log import HISTORY_LENGTH, HISTORY_SECONDS, LOG_LENGTH

BATCH = 100
_LEASE_SECONDS = 600.0
_LOOK_SECONDS = 0.005


def work_by_commands(client: redis.Redis, keys: Keys, leases: Sequence[Lease]) -> None:
    """Work off each partition in turn with the commands that the scripts are made of."""
    for lease in leases:
        jobs_key = keys.jobs(int(lease.name))
        after = FROM_THE_START
        while entries := _next(client, jobs_key, after):
            after = entries[-1][0].decode()
            _work_on(client, keys, lease.name, entries)


def _next(client: redis.Redis, jobs_key: str, after: str) -> list[Any]:
    entries: Any = client.xrange(jobs_key, f"({after}", "+", BATCH)
    return list(entries)


def _work_on(client: redis.Redis, keys: Keys, partition: str, entries: Sequence[Any]) -> None:
    """Two pipelines: a history's entry has the id that the log gave, so the log comes first."""
    bodies = [fields[b"event"] for _, fields in entries]
    channels = [_channel_in(body) for body in bodies]
    log = client.pipeline(transaction=False)
    for channel, body in zip(channels, bodies, strict=True):
        log.xadd(keys.log, {"channels": channel, "frame": body})
    log.xtrim(keys.log, maxlen=LOG_LENGTH)
    log.hset(keys.claimed, partition, entries[-1][0])
    log_ids = log.execute()
    rest = client.pipeline(transaction=False)
    for channel, body, log_id in zip(channels, bodies, log_ids, strict=False):
        rest.xadd(keys.channel(channel), {"channels": channel, "frame": body}, id=log_id)
    for channel in set(channels):
        rest.xtrim(keys.channel(channel), maxlen=HISTORY_LENGTH)
        rest.expire(keys.channel(channel), HISTORY_SECONDS)
    rest.xdel(keys.jobs(int(partition)), *(entry_id for entry_id, _ in entries))
    rest.hincrby(keys.ledger, "published", len(entries))
    rest.hincrby(keys.ledger, "queued", -len(entries))
    rest.execute()


def work_by_scripts(client: redis.Redis, keys: Keys, leases: Sequence[Lease]) -> None:
    """Work off each partition in turn by `claim` and `finish` alone."""
    queue = RedisJobQueue(client, keys, len(leases))
    for lease in leases:
        after = FROM_THE_START
        while jobs := queue.claim(lease, after, BATCH):
            after = jobs[-1].entry_id
            queue.finish(lease, [Finished(job.entry_id, (_frame_in(job.body),)) for job in jobs])


def _frame_in(body: bytes) -> Frame:
    return Frame((_channel_in(body),), body)


def _channel_in(body: bytes) -> str:
    """Return the first channel by its place in the text; an event of a bench has no other."""
    start = body.index(b'"channels":["') + 13
    return body[start : body.index(b'"', start)].decode()


WAYS: Mapping[str, Callable[[redis.Redis, Keys, Sequence[Lease]], None]] = {
    "commands": work_by_commands,
    "scripts": work_by_scripts,
}


def main(way: str) -> None:
    """Take all leases, work when the pause ends, then wait to be stopped by who measures."""
    settings = Settings.from_environment()
    client, keys = connect(settings.redis_url), Keys(settings.namespace)
    store = RedisJobQueue(client, keys, settings.partitions).leases
    names = map(str, range(settings.partitions))
    leases = [store.acquire(name, f"bare {way}", _LEASE_SECONDS) for name in names]
    while client.exists(keys.paused):
        time.sleep(_LOOK_SECONDS)
    WAYS[way](client, keys, [lease for lease in leases if lease is not None])
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
