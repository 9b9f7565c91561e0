"""Redis loses what it had said it has: all of it, or its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import redis

from stack.process import wait_until
from tests.faults.catalogue.fault import DATA, Fault, Ground, NoEffect


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


def _cut_tail(ground: Ground, random: Random) -> None:
    """The last bytes of its append-only file never reached the disk."""
    with _while_down(ground):
        increments = [file for file in _files(ground) if ".incr." in file.name]
        if not increments:
            raise NoEffect("it has no file that grows just now")
        size = increments[-1].stat().st_size
        os.truncate(increments[-1], max(0, size - random.randint(1, 60_000)))


FAULTS = (
    Fault("Redis: FLUSHALL", DATA, _flush, bound_seconds=60, weight=0.7, loses_data=True),
    Fault("Redis: emptied", DATA, _empty, bound_seconds=60, weight=0.7, loses_data=True),
    Fault("Redis: its file's end cut off", DATA, _cut_tail, 60.0, 10.0, loses_data=True),
)
