"""Redis loses what it had said it has: all of it, or its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import redis

from stack.process import wait_until
from tests.faults.catalogue.fault import DATA, Fault, Ground, NoEffect, Thaw

_ANEW_SECONDS = 30.0


def _flush(ground: Ground, random: Random) -> None:
    try:
        ground.system.redis().flushall()
    except redis.RedisError as error:
        raise NoEffect(f"not answered: {error}") from None


def _files(ground: Ground) -> list[Path]:
    return sorted((ground.system.places.state / "redis" / "appendonlydir").glob("*.aof"))


@contextmanager
def _while_down(ground: Ground) -> Iterator[None]:
    """Give the time between two lives of Redis, whose files can be changed then.

    It is stopped first and killed afterwards, for its supervisor starts another one at once.
    """
    pid = ground.system.pid("redis")
    status = Path(f"/proc/{pid}/stat")

    def is_stopped() -> bool:
        try:
            return status.read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] in "TtZ"
        except FileNotFoundError:
            return True

    ground.send(pid, signal.SIGSTOP)
    try:
        wait_until(is_stopped, 5, "Redis has stopped")
        yield
    finally:
        ground.send(pid, signal.SIGKILL)


def _empty(ground: Ground, random: Random) -> None:
    """All its files are gone when it starts again."""
    with _while_down(ground):
        for file in (ground.system.places.state / "redis" / "appendonlydir").glob("*"):
            file.unlink(missing_ok=True)


def _cut_tail(ground: Ground, random: Random) -> Thaw:
    """The last bytes of its append-only file never reached the disk.

    Redis keeps a transaction's first half in the file then, until the formatter has had it written
    anew; what a second death before that does is not promised (RELIABILITY.md).
    """
    with _while_down(ground):
        increments = [file for file in _files(ground) if ".incr." in file.name]
        if not increments:
            raise NoEffect("it has no file that grows just now")
        size = increments[-1].stat().st_size
        os.truncate(increments[-1], max(0, size - random.randint(1, 60_000)))
    return partial(wait_until_file_is_anew, ground.system.redis(), 0)


def wait_until_file_is_anew(client: redis.Redis, rewrites: int) -> None:
    """Return when this life of Redis has written its file anew more often than so.

    Raises:
        DeadlineMissed: nobody had it do so.
    """

    def is_anew() -> bool:
        try:
            # The client knows no types for what INFO tells.
            facts: Any = client.info("persistence")
        except redis.RedisError:
            return False
        has_begun = facts["aof_rewrites"] > rewrites
        is_done = not facts["aof_rewrite_in_progress"] and not facts["loading"]
        return has_begun and is_done and facts["aof_last_bgrewrite_status"] == "ok"

    wait_until(is_anew, _ANEW_SECONDS, "Redis has written its file anew")


FAULTS = (
    Fault("Redis: FLUSHALL", DATA, _flush, bound_seconds=60, weight=0.7, loses_data=True),
    Fault("Redis: emptied", DATA, _empty, bound_seconds=60, weight=0.7, loses_data=True),
    Fault("Redis: its file's end cut off", DATA, _cut_tail, 60.0, 10.0, loses_data=True),
)
