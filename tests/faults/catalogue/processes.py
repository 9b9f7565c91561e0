"""Processes that are killed, stopped for a while, told to end, or reloaded."""

from __future__ import annotations

import signal
from collections.abc import Callable
from random import Random

from tests.faults.catalogue.fault import PROCESSES, Fault, Ground

TARGET_SECONDS = {
    "redis": 10.0,
    "gateway": 3.0,
    "formatter": 6.0,
    "relay": 3.0,
    "site": 10.0,
}

_PAST_THE_LEASES = (3.5, 6.0)


def _kill(part: str) -> Callable[[Ground, Random], None]:
    def inject(ground: Ground, random: Random) -> None:
        ground.send(ground.system.pid(part), signal.SIGKILL)

    return inject


def _end(part: str) -> Callable[[Ground, Random], None]:
    def inject(ground: Ground, random: Random) -> None:
        ground.send(ground.system.pid(part), signal.SIGTERM)

    return inject


def _stop(part: str, least: float, most: float) -> Callable[[Ground, Random], None]:
    """The process sleeps, and its workers with it."""

    def inject(ground: Ground, random: Random) -> None:
        pids = [ground.system.pid(part), *ground.system.children(part)]
        for pid in pids:
            ground.send(pid, signal.SIGSTOP)
        ground.wait(random.uniform(least, most))
        for pid in pids:
            ground.send(pid, signal.SIGCONT)

    return inject


def _kill_worker(part: str) -> Callable[[Ground, Random], None]:
    def inject(ground: Ground, random: Random) -> None:
        if workers := ground.system.children(part):
            ground.send(random.choice(workers), signal.SIGKILL)

    return inject


def _stop_worker(part: str) -> Callable[[Ground, Random], None]:
    def inject(ground: Ground, random: Random) -> None:
        if workers := ground.system.children(part):
            worker = random.choice(workers)
            ground.send(worker, signal.SIGSTOP)
            ground.wait(random.uniform(*_PAST_THE_LEASES))
            ground.send(worker, signal.SIGCONT)

    return inject


def _reload(ground: Ground, random: Random) -> None:
    ground.send(ground.system.pid("gateway"), signal.SIGHUP)


def _reload_and_kill_worker(ground: Ground, random: Random) -> None:
    first, second = random.sample((_reload, _kill_worker("gateway")), 2)
    first(ground, random)
    ground.wait(random.uniform(0, 0.1))
    second(ground, random)


def _faults_of(part: str) -> tuple[Fault, ...]:
    target = TARGET_SECONDS[part]
    return (
        Fault(f"{part}: kill -9", PROCESSES, _kill(part), target_seconds=target, weight=2),
        Fault(f"{part}: clean restart", PROCESSES, _end(part), target_seconds=target),
        Fault(
            f"{part}: stopped past its leases",
            PROCESSES,
            _stop(part, *_PAST_THE_LEASES),
            target_seconds=target,
        ),
        Fault(f"{part}: stopped for a moment", PROCESSES, _stop(part, 0.2, 2.0)),
    )


FAULTS = (
    *_faults_of("redis"),
    *_faults_of("gateway"),
    *_faults_of("formatter"),
    *_faults_of("relay"),
    *_faults_of("site"),
    Fault(
        "gateway worker: kill -9",
        PROCESSES,
        _kill_worker("gateway"),
        target_seconds=3.0,
        weight=2,
    ),
    Fault("gateway worker: stopped past the lease", PROCESSES, _stop_worker("gateway")),
    Fault(
        "formatter worker: kill -9",
        PROCESSES,
        _kill_worker("formatter"),
        target_seconds=6.0,
    ),
    Fault("formatter worker: stopped past its leases", PROCESSES, _stop_worker("formatter")),
    Fault("gateway: reload", PROCESSES, _reload, weight=2),
    Fault("gateway: reload, and a worker killed", PROCESSES, _reload_and_kill_worker),
    Fault("site worker: kill -9", PROCESSES, _kill_worker("site"), target_seconds=10.0),
)
