"""Disks that are full, or slow."""

from __future__ import annotations

import signal
from contextlib import suppress
from random import Random

import redis

from stack.process import wait_until
from tests.faults.catalogue.fault import DISK, Fault, Ground

_REWRITE_SECONDS = 15.0


def _fill_redis(ground: Ground, random: Random) -> None:
    """And what an operator is told to do when there is room again: have Redis write its file anew.

    Redis 8.0 may leave in it the part of a transaction that still fitted, and the whole behind it:
    the next start then does that part twice, or refuses the file (both seen).
    """
    disk = ground.system.redis_disk
    disk.fill()
    try:
        ground.wait(random.uniform(1, 4))
    finally:
        disk.free()
    client = ground.system.redis()

    def is_written_anew() -> bool:
        with suppress(redis.RedisError):
            facts = client.info("persistence")
            if facts["aof_rewrite_in_progress"] or facts["aof_rewrite_scheduled"]:
                return False
            if facts["aof_last_write_status"] == "ok" and wanted:
                client.bgrewriteaof()
                wanted.clear()
                return False
            return not wanted
        return False

    wanted = [True]
    wait_until(is_written_anew, _REWRITE_SECONDS, "Redis has written its file anew")


def _fill_database(ground: Ground, random: Random) -> None:
    """Without room for its log PostgreSQL ends for good, and an operator starts it again."""
    with ground.database_lock:
        disk, server = ground.system.database_disk, ground.system.postgres
        disk.fill()
        try:
            ground.wait(random.uniform(1, 4))
        finally:
            disk.free()
        if not server.running:
            ground.notes["database: disk full"] = "it ended and was started again"
            ground.system.restart_database()


def _slow(ground: Ground, random: Random) -> None:
    syncs = ground.system.redis_syncs
    syncs.set("redis", random.uniform(1.5, 4))
    try:
        ground.wait(random.uniform(2, 6))
    finally:
        syncs.set("redis", 0)


def _kill_while_slow(ground: Ground, random: Random) -> None:
    """Redis has confirmed what it had not written yet."""
    syncs = ground.system.redis_syncs
    syncs.set("redis", 4)
    try:
        ground.wait(random.uniform(2, 5))
        ground.send(ground.system.pid("redis"), signal.SIGKILL)
    finally:
        syncs.set("redis", 0)


FAULTS = (
    Fault("Redis: disk full", DISK, _fill_redis, mixes=False),
    Fault("Redis: disk slow", DISK, _slow),
    Fault("Redis: killed while its disk is slow", DISK, _kill_while_slow, 60.0, loses_data=True),
    Fault("database: disk full", DISK, _fill_database, 60.0),
)
