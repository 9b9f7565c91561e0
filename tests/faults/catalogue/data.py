"""Redis loses what it had said it has: all of it, or its end."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random

import redis

from stack.process import wait_until
from tests.faults.catalogue.fault import DATA, Fault, Ground


def _flush(ground: Ground, random: Random) -> None:
    try:
        ground.system.redis().flushall()
    except redis.RedisError as error:
        ground.notes["Redis: FLUSHALL"] = f"not answered: {error}"


def _files(ground: Ground) -> list[Path]:
    return sorted((ground.system.places.state / "redis" / "appendonlydir").glob("*.aof"))


def _while_down(ground: Ground) -> None:
    """Stop Redis for good and return when it is down; the supervisor starts another at once.

    It is stopped with SIGSTOP first and its file changed before it is killed, so that its
    successor reads the changed file.
    """
    pid = ground.system.pid("redis")
    ground.send(pid, signal.SIGSTOP)
    status = Path(f"/proc/{pid}/stat")

    def is_stopped() -> bool:
        try:
            return status.read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] in "TtZ"
        except FileNotFoundError:
            return True

    wait_until(is_stopped, 5, "Redis has stopped")


def _empty(ground: Ground, random: Random) -> None:
    """All its files are gone when it starts again."""
    pid = ground.system.pid("redis")
    _while_down(ground)
    folder = ground.system.places.state / "redis" / "appendonlydir"
    for file in folder.glob("*"):
        file.unlink(missing_ok=True)
    ground.send(pid, signal.SIGKILL)


def _cut_tail(ground: Ground, random: Random) -> None:
    """The last bytes of its append-only file never reached the disk."""
    pid = ground.system.pid("redis")
    _while_down(ground)
    increments = [file for file in _files(ground) if ".incr." in file.name]
    if increments:
        size = increments[-1].stat().st_size
        os.truncate(increments[-1], max(0, size - random.randint(1, 60_000)))
    ground.send(pid, signal.SIGKILL)


FAULTS = (
    Fault("Redis: FLUSHALL", DATA, _flush, bound_seconds=60, weight=0.7, loses_data=True),
    Fault("Redis: emptied", DATA, _empty, bound_seconds=60, weight=0.7, loses_data=True),
    Fault("Redis: its file's end cut off", DATA, _cut_tail, 60.0, 10.0, loses_data=True),
)
