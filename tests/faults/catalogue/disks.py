"""Disks that are full, or slow."""

from __future__ import annotations

import signal
from functools import partial
from random import Random

from tests.faults.catalogue.data import wait_until_file_is_anew
from tests.faults.catalogue.fault import DISK, Fault, Ground, Thaw


def _fill_redis(ground: Ground, random: Random) -> Thaw:
    """And until the formatter has had Redis write its file anew: it may hold half a transaction."""
    disk = ground.system.redis_disk
    client = ground.system.redis()
    before = client.info("persistence")["aof_rewrites"]
    disk.fill()
    try:
        ground.wait(random.uniform(1, 4))
    finally:
        disk.free()
    return partial(wait_until_file_is_anew, client, before)


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
