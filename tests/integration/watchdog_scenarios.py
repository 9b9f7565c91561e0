"""What the watchdog sees; each is called in a process that gevent has patched."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import NoReturn

import gevent
from gevent import monkey

from formatter.watchdog import Watchdog

SECONDS = 1.0


def compute(seconds: float) -> None:
    """Computes for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def endless_loop() -> None:
    """Python that never pauses."""
    Watchdog(SECONDS).start()
    compute(600)


def endless_regular_expression() -> None:
    """One call into C that holds the interpreter's lock."""
    Watchdog(SECONDS).start()
    re.match(r"(a+)+$", "a" * 60 + "b")


def endless_wait() -> None:
    """One call into C that waits where gevent cannot see it."""
    Watchdog(SECONDS).start()
    monkey.get_original("time", "sleep")(600)


def endless_loop_in_a_greenlet() -> None:
    """As the stages run."""
    Watchdog(SECONDS).start()
    gevent.spawn(compute, 600).join()


def busy_and_healthy() -> None:
    """A hundred greenlets compute: the heartbeat's turn comes after fifty of them."""
    watchdog = Watchdog(SECONDS)
    watchdog.start()
    until = time.monotonic() + 4 * SECONDS

    def lane() -> None:
        while time.monotonic() < until:
            compute(0.05)
            watchdog.turn()
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(lane) for _ in range(100)], raise_error=True)
    watchdog.stop()


def idle_and_healthy() -> None:
    """Nothing to do at all."""
    watchdog = Watchdog(SECONDS)
    watchdog.start()
    gevent.sleep(4 * SECONDS)
    watchdog.stop()


def watched_no_more() -> None:
    """A watchdog that was stopped ends nothing; it can be started again."""
    watchdog = Watchdog(0.1)
    watchdog.stop()
    watchdog.start()
    watchdog.stop()
    compute(0.5)
    watchdog.start()
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
