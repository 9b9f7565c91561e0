"""Several workers on one machine: a parent that starts one process for each and replaces those that
die. The parent does no work of its own and speaks to nobody.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from formatter.backoff import full_jitter

logger = logging.getLogger("formatter")

MOST_PROCESSES = 256

LOOK_SECONDS = 0.2
STOP_SECONDS = 10.0
"""How long the processes may take to end; a worker gives up what it has begun after 8 s."""

STEADY_SECONDS = 5.0
"""A process that lived so long did not die of its start: the next one starts at once."""

BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0

CHILD = "PUSHGATE_FORMATTER_CHILD"
"""Tells a process its parent and its place there, `<pid>:<place>`."""

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal a process gets when its parent dies."""


def die_with_parent(death_signal: signal.Signals = signal.SIGTERM) -> None:
    """Has the kernel end this process when the one that started it dies, however it dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(death_signal))


class Child(Protocol):
    """What a parent needs of a process; `subprocess.Popen` has it."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        ...

    def terminate(self) -> None:
        """Asks it to end."""
        ...

    def kill(self) -> None:
        """Ends it."""
        ...


@dataclass(slots=True)
class _Place:
    """One of the processes: the one that runs, or when the next starts."""

    child: Child | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    early_deaths: int = 0


class Processes:
    """Keeps a number of processes running.

    A process that dies is replaced at once; one that dies soon after its start, again and again,
    after a time drawn between nothing and a bound that doubles (full jitter), so that a fault
    that hits all of them does not have them all start in step for ever.

    Args:
        start: starts the process of a place.
        number: how many; their places are 0 to number - 1.
    """

    def __init__(self, start: Callable[[int], Child], number: int) -> None:
        self._start = start
        self._places = [_Place() for _ in range(number)]

    def turn(self, now: float) -> None:
        """Looks after each process once: notices the dead, starts those whose time has come."""
        for number, place in enumerate(self._places):
            if place.child is not None and place.child.poll() is not None:
                self._bury(number, place, now)
            if place.child is None and now >= place.start_at:
                place.child = self._start(number)
                place.started_at = now

    def terminate(self) -> None:
        """Asks all to end."""
        for place in self._places:
            if place.child is not None and place.child.poll() is None:
                place.child.terminate()

    @property
    def running(self) -> int:
        """How many have not ended."""
        return sum(p.child is not None and p.child.poll() is None for p in self._places)

    def kill(self) -> int:
        """Ends those that still run; returns how many."""
        left = [p.child for p in self._places if p.child is not None and p.child.poll() is None]
        for child in left:
            logger.error("worker process %d did not end in time: killed", child.pid)
            child.kill()
        return len(left)

    def _bury(self, number: int, place: _Place, now: float) -> None:
        child, lived = place.child, now - place.started_at
        if child is None:
            return
        place.child = None
        if lived >= STEADY_SECONDS:
            place.early_deaths = 0
        early = place.early_deaths
        wait = full_jitter(early, BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS) if early else 0.0
        place.early_deaths += 1
        place.start_at = now + wait
        logger.error(
            "worker %d (process %d) ended with %s after %.1f s, time %d in a row; "
            "the next one starts in %.1f s",
            *(number, child.pid, child.poll(), lived, place.early_deaths, wait),
        )


def run_processes(arguments: Sequence[str], number: int) -> int:
    """Runs `number` copies of `python -m formatter` until SIGTERM or SIGINT.

    Args:
        arguments: their command line.
        number: how many; each learns its place, see `place_of_child`.

    Returns:
        0 when all ended in time after the signal, 1 when some had to be killed.
    """
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    def start(place: int) -> Child:
        return subprocess.Popen(
            [sys.executable, "-m", "formatter", *arguments],
            env={**os.environ, CHILD: f"{os.getpid()}:{place}"},
        )

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    processes = Processes(start, number)
    while not stopping:
        processes.turn(time.monotonic())
        time.sleep(LOOK_SECONDS)
    give_up_at = time.monotonic() + STOP_SECONDS
    processes.terminate()
    while processes.running and time.monotonic() < give_up_at:
        time.sleep(LOOK_SECONDS / 10)
    killed = processes.kill()
    logger.info("all worker processes have ended, %d of them killed", killed)
    return 1 if killed else 0


def place_of_child() -> int | None:
    """The place of this process among those of its parent, from 0 on; None when it has no parent
    of this kind. The kernel ends a child when its parent dies, however that dies.
    """
    parent, colon, place = os.environ.pop(CHILD, "").partition(":")
    if not colon:
        return None
    die_with_parent()
    if os.getppid() != int(parent):
        # It died before the kernel was asked.
        os.kill(os.getpid(), signal.SIGTERM)
    return int(place)
