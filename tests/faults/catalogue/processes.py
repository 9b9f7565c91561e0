"""Processes that are killed, stopped for a while, told to end, or reloaded."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

from tests.faults.catalogue.fault import PROCESSES, Fault, Ground, NoEffect, Thaw

TARGET_SECONDS = {
    "redis": 10.0,
    "gateway": 3.0,
    "formatter": 6.0,
    "relay": 3.0,
    "site": 10.0,
}

Inject = Callable[[Ground, Random], Thaw | None]

_PAST_THE_LEASES = (3.5, 6.0)


def _pid(ground: Ground, part: str) -> int:
    """The process that does the part's work: of two relays the one that leads."""
    if part != "relay":
        return ground.system.pid(part)
    leader = ground.system.relay_leader()
    if leader is None:
        raise NoEffect("no relay leads")
    return leader


def _stop_all(ground: Ground, pids: Sequence[int]) -> None:
    for pid in pids:
        ground.send(pid, signal.SIGSTOP)


def _go_on(ground: Ground, pids: Sequence[int]) -> None:
    for pid in pids:
        # Another fault may have killed it.
        with suppress(NoEffect):
            ground.send(pid, signal.SIGCONT)


def _kill(part: str) -> Inject:
    def inject(ground: Ground, random: Random) -> None:
        pid = _pid(ground, part)
        if part == "formatter":
            # Its workers do the work; they would end in good order when their parent dies.
            ground.send(pid, signal.SIGSTOP)
            for worker in ground.system.children(part):
                ground.send(worker, signal.SIGKILL)
        ground.send(pid, signal.SIGKILL)

    return inject


def _end(part: str) -> Inject:
    def inject(ground: Ground, random: Random) -> None:
        ground.send(_pid(ground, part), signal.SIGTERM)

    return inject


def _stop(part: str, least: float, most: float) -> Inject:
    """The process sleeps, and its workers with it."""

    def inject(ground: Ground, random: Random) -> None:
        pids = [_pid(ground, part), *ground.system.children(part)]
        try:
            _stop_all(ground, pids)
            ground.wait(random.uniform(least, most))
        finally:
            _go_on(ground, pids)

    return inject


def _worker(ground: Ground, part: str, random: Random) -> int:
    workers = ground.system.children(part)
    if not workers:
        raise NoEffect(f"{part} has no worker just now")
    return random.choice(workers)


def _kill_worker(part: str) -> Inject:
    def inject(ground: Ground, random: Random) -> None:
        ground.send(_worker(ground, part, random), signal.SIGKILL)

    return inject


def _stop_worker(part: str) -> Inject:
    def inject(ground: Ground, random: Random) -> None:
        worker = _worker(ground, part, random)
        try:
            ground.send(worker, signal.SIGSTOP)
            ground.wait(random.uniform(*_PAST_THE_LEASES))
        finally:
            _go_on(ground, [worker])

    return inject


def _freeze_relay(ground: Ground, random: Random) -> Thaw:
    """The one that leads sleeps until the one that stands by has done its work."""
    return _frozen(ground, _pid(ground, "relay"))


def _freeze_formatter_worker(ground: Ground, random: Random) -> Thaw:
    """One of two sleeps until the other has done its work."""
    return _frozen(ground, _worker(ground, "formatter", random))


def _frozen(ground: Ground, pid: int) -> Thaw:
    ground.send(pid, signal.SIGSTOP)
    return lambda: _go_on(ground, [pid])


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
            f"{part}: stopped for longer than leases last",
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
    Fault("relay: frozen, the other leads", PROCESSES, _freeze_relay, target_seconds=3.0),
    Fault(
        "formatter worker: frozen, the other goes on",
        PROCESSES,
        _freeze_formatter_worker,
        target_seconds=6.0,
    ),
    Fault("formatter worker: kill -9", PROCESSES, _kill_worker("formatter"), target_seconds=6.0),
    Fault(
        "formatter worker: stopped for longer than leases last",
        PROCESSES,
        _stop_worker("formatter"),
    ),
    Fault(
        "gateway worker: kill -9",
        PROCESSES,
        _kill_worker("gateway"),
        target_seconds=3.0,
        weight=2,
    ),
    Fault(
        "gateway worker: stopped for longer than leases last", PROCESSES, _stop_worker("gateway")
    ),
    Fault("gateway: reload", PROCESSES, _reload, weight=2),
    Fault("gateway: reload, and a worker killed", PROCESSES, _reload_and_kill_worker),
    Fault("site worker: kill -9", PROCESSES, _kill_worker("site"), target_seconds=10.0),
)
