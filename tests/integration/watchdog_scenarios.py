"""What the watchdog sees; each is called in a process that gevent has patched."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import NoReturn

import gevent
from gevent import monkey

from formatter import watchdog
from formatter.watchdog import Watchdog

SECONDS = 1.0


def with_time_to_compute() -> None:
    """Only the processor's time ends what computes, however little of it a busy machine gives."""
    watchdog.WAITING = 100


def compute(seconds: float) -> None:
    """Computes for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def endless_loop() -> None:
    """Python that never pauses."""
    with_time_to_compute()
    Watchdog(SECONDS).start()
    compute(600)


def endless_regular_expression() -> None:
    """One call into C that holds the interpreter's lock."""
    with_time_to_compute()
    Watchdog(SECONDS).start()
    re.match(r"(a+)+$", "a" * 60 + "b")


def endless_wait() -> None:
    """One call into C that waits where gevent cannot see it."""
    Watchdog(SECONDS).start()
    monkey.get_original("time", "sleep")(600)


def endless_loop_in_a_greenlet() -> None:
    """As the stages run."""
    with_time_to_compute()
    Watchdog(SECONDS).start()
    gevent.spawn(compute, 600).join()


def busy_and_healthy() -> None:
    """A hundred greenlets compute: the heartbeat's turn comes after fifty of them."""
    dog = Watchdog(SECONDS)
    dog.start()
    until = time.monotonic() + 4 * SECONDS

    def lane() -> None:
        while time.monotonic() < until:
            compute(0.05)
            dog.turn()
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(lane) for _ in range(100)], raise_error=True)
    dog.stop()


def idle_and_healthy() -> None:
    """Nothing to do at all."""
    dog = Watchdog(SECONDS)
    dog.start()
    gevent.sleep(4 * SECONDS)
    dog.stop()


def watched_no_more() -> None:
    """A watchdog that was stopped ends nothing; it can be started again."""
    with_time_to_compute()
    dog = Watchdog(0.1)
    dog.stop()
    dog.start()
    dog.stop()
    compute(0.5)
    dog.start()
    compute(600)


def counting(report: str) -> NoReturn:
    """Turns and says so, for ever."""
    Watchdog(SECONDS).start()
    turns = 0
    while True:
        turns += 1
        Path(report + ".new").write_text(str(turns), encoding="ascii")
        os.rename(report + ".new", report)
        gevent.sleep(0.01)
