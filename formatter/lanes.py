"""Lanes: the jobs of one ordering key each, worked side by side, one job of a lane after the other.

A few greenlets, the runners, take the lanes that are ready in turn. One runner does for all as long
as no stage waits; another is started only when those there are wait in a stage. So an event that
only needs computing costs no greenlet, and one that waits for somebody's answer holds up nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

import gevent
from gevent.event import Event as Flag
from gevent.pool import Pool

from pushgate import Event, Job

MOST_RUNNERS = 1_000
"""Jobs that may wait in a stage at the same time."""

SLICE_SECONDS = 0.01
"""How long runners compute before leases are kept and results are written."""


class Lane:
    """The claimed jobs of one key, first to last.

    Attributes:
        key: the ordering key.
        jobs: what is to be worked on; the first stays until it has ended.
        attempts: how often the first was tried, once it has begun; 0 before.
        tries: how often it was tried here.
        together: how many of the first are worked on as one.
        gathered: the first has waited for others to go with it.
        running: a runner has it in its hands.
    """

    __slots__ = ("attempts", "gathered", "home", "jobs", "key", "running", "together", "tries")

    def __init__(self, home: LaneHome, key: str) -> None:
        self.home = home
        self.key = key
        self.jobs: deque[tuple[Job, Event]] = deque()
        self.attempts = 0
        self.tries = 0
        self.together = 1
        self.gathered = False
        self.running = False


class LaneHome(Protocol):
    """Whose jobs the lane holds."""

    def step(self, lane: Lane) -> bool:
        """Works on the first job of a lane; True when the lane is to have another turn."""
        ...


class Lanes:
    """The lanes of a worker that are ready, and the runners that work them.

    Args:
        on_turn: called whenever runners that only compute give way to others.
    """

    def __init__(self, on_turn: Callable[[], None] | None = None) -> None:
        self._on_turn = on_turn
        self._ready: deque[Lane] = deque()
        self._something_ready = Flag()
        self._runners = Pool(MOST_RUNNERS)
        self._resting = 0

    def make_ready(self, lane: Lane) -> None:
        """Gives a lane its turn, after those that are ready already."""
        if not self._ready:
            self._something_ready.set()
        self._ready.append(lane)

    def make_ready_later(self, lane: Lane, seconds: float) -> None:
        """Gives a lane its turn after a while."""
        gevent.spawn_later(seconds, self.make_ready, lane)

    def run(self) -> None:
        """Starts runners as they are needed, until the greenlet it runs in is killed."""
        while True:
            self._something_ready.wait()
            self._something_ready.clear()
            while self._ready:
                if not self._resting:
                    self._runners.spawn(self._run_ready)
                # A runner comes back here when nothing is ready any more, or when it has to wait.
                _give_way()

    def _run_ready(self) -> None:
        rest_at = perf_counter() + SLICE_SECONDS
        ready = self._ready
        while ready:
            lane = ready.popleft()
            lane.running = True
            try:
                again = lane.home.step(lane)
            finally:
                lane.running = False
            if again:
                ready.append(lane)
            if perf_counter() > rest_at:
                if self._on_turn is not None:
                    self._on_turn()
                self._resting += 1
                _give_way()
                self._resting -= 1
                rest_at = perf_counter() + SLICE_SECONDS


def _give_way() -> None:
    """Lets everything else have its turn, answers that have come from Redis among it.

    `gevent.sleep(0)` would not do: greenlets that are ready run, up to fifty times over, before the
    loop looks at the sockets once. An idle watcher of the highest priority waits for one whole turn
    of the loop and no longer.
    """
    gevent.idle(priority=2)
