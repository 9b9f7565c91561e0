"""What working off jobs took, from the kernel's and Redis' own books."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
"""The kernel tells a process' time in these; what took less took one."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What so many jobs took.

    Attributes:
        jobs: how many were worked off.
        seconds: by the clock on the wall.
        cpu_seconds: user and system time of whoever worked, its child processes included.
        redis_cpu_seconds: of the Redis server.
    """

    jobs: int
    seconds: float
    cpu_seconds: float
    redis_cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Jobs per second by the clock on the wall."""
        return self.jobs / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Jobs per second of the worker's processor time."""
        return self.jobs / max(TICK_SECONDS, self.cpu_seconds)

    @property
    def per_cpu_second_with_redis(self) -> float:
        """Jobs per second of processor time, the Redis server's included."""
        return self.jobs / max(TICK_SECONDS, self.cpu_seconds + self.redis_cpu_seconds)

    @property
    def cpu_microseconds(self) -> float:
        """The worker's processor time for one job."""
        return 1e6 * self.cpu_seconds / self.jobs

    @property
    def redis_cpu_microseconds(self) -> float:
        """Redis' processor time for one job."""
        return 1e6 * self.redis_cpu_seconds / self.jobs


@dataclass(frozen=True, slots=True)
class Books:
    """What somebody had used at a moment.

    Attributes:
        at: the moment, by a clock that only goes forward.
        cpu_seconds: of whoever works.
        redis_cpu_seconds: of the Redis server.
    """

    at: float
    cpu_seconds: float
    redis_cpu_seconds: float

    def since(self, before: Books, jobs: int) -> Spent:
        """Return what was used since a moment before, for so many jobs."""
        return Spent(
            jobs,
            self.at - before.at,
            self.cpu_seconds - before.cpu_seconds,
            self.redis_cpu_seconds - before.redis_cpu_seconds,
        )


def median_of(rounds: Sequence[Spent]) -> Spent:
    """Return the median of several rounds with the same number of jobs, each figure by itself."""
    return Spent(
        rounds[0].jobs,
        statistics.median(one.seconds * rounds[0].jobs / one.jobs for one in rounds),
        statistics.median(one.cpu_seconds * rounds[0].jobs / one.jobs for one in rounds),
        statistics.median(one.redis_cpu_seconds * rounds[0].jobs / one.jobs for one in rounds),
    )


def family_cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and its descendants, ended ones included.

    An ended child counts from when its parent has waited for it.
    """
    parent = psutil.Process(pid)
    total = 0.0
    for process in [parent, *parent.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def resident_bytes(pid: int) -> int:
    """Return the memory of one process that is in RAM now."""
    return int(psutil.Process(pid).memory_info().rss)


def pin(pid: int, core: int) -> None:
    """Keep a process and its threads on one core; do nothing where there is only one.

    Args:
        core: the place among the cores this process may use; counts round.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), {cores[core % len(cores)]})
