"""Processes that die at a named place in their code; see `tests.faults.stage.crash_points`."""

from __future__ import annotations

import signal
from collections.abc import Callable
from random import Random

import redis

from stack.errors import DeadlineMissed
from stack.process import wait_until
from tests.faults.catalogue.fault import CRASH_POINTS, Fault, Ground, NoEffect
from tests.faults.catalogue.processes import TARGET_SECONDS
from tests.faults.stage.crash_points import CRASH_POINTS as POINTS
from tests.faults.stage.crash_points import SPIN_KEY, CrashPoint

_PASSED_WITHIN_SECONDS = 8.0
_NOT_PASSED = "nobody passed there"
# Redis has the key again after its restart, and must not spin for longer then.
_SPIN_MS = 500


def _crash(point: CrashPoint) -> Callable[[Ground, Random], None]:
    """Arm it, and return when somebody has died there."""

    def inject(ground: Ground, random: Random) -> None:
        armed = ground.system.places.crash / point.name
        armed.touch()
        try:
            wait_until(lambda: not armed.exists(), _PASSED_WITHIN_SECONDS, "somebody dies")
        except DeadlineMissed:
            raise NoEffect(_NOT_PASSED) from None
        finally:
            armed.unlink(missing_ok=True)

    return inject


def _crash_in_script(point: CrashPoint) -> Callable[[Ground, Random], None]:
    """Have the script spin, and kill Redis when it does nothing but that."""

    def inject(ground: Ground, random: Random) -> None:
        client = ground.system.redis(timeout_seconds=0.3)
        pid = ground.system.pid("redis")

        def spins() -> bool:
            try:
                client.set(SPIN_KEY + point.name, 1, px=_SPIN_MS)
                client.ping()
            except redis.TimeoutError:
                return True
            except redis.RedisError:
                return False
            return False

        try:
            wait_until(spins, _PASSED_WITHIN_SECONDS, "the script spins", every_seconds=0.01)
        except DeadlineMissed:
            raise NoEffect(_NOT_PASSED) from None
        ground.send(pid, signal.SIGKILL)

    return inject


FAULTS = tuple(
    Fault(
        f"crash {point.name}",
        CRASH_POINTS,
        _crash_in_script(point) if point.spins else _crash(point),
        target_seconds=TARGET_SECONDS[point.part],
    )
    for point in POINTS
)
