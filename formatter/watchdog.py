"""Ends a process whose event loop does not turn any more.

A stage that computes for ever, or waits where gevent cannot see it, holds up everything else in the
process. It may also hold the interpreter's lock, as a regular expression that backtracks for ever
does, so no Python thread can be trusted to notice. Timers that need no Python do. They are set back
every second, by a greenlet or by whoever calls `turn` then (gevent looks at the clock only after
every fiftieth greenlet that is ready to run), so they run out only within one stage:

- `seconds` of *processor time* without a turn: the kernel sends SIGVTALRM, whose handler, in C,
  writes the tracebacks to stderr and lets the signal end the process. A process that is stopped or
  that the machine has no time for uses none, so it is not ended when it comes back.
- `WAITING` times as long by the clock, for what waits without computing: a native thread writes the
  tracebacks and ends the process with status 1. A process that was stopped for so long is ended
  too; its leases ran out long before.
- half of `seconds` by the clock: SIGALRM, whose handler is Python and logs a line, if Python can
  still run.

The tracebacks name the stage. Its job's attempt was counted before, so whoever claims the job next
knows.
"""

from __future__ import annotations

import faulthandler
import logging
import signal
from time import monotonic
from types import FrameType

import gevent

logger = logging.getLogger("formatter")

FROZEN_SECONDS = 5.0

WAITING = 3

_STDERR = 2
_BEAT_SECONDS = 1.0


class Watchdog:
    """Watches the event loop of the main thread, in which it must be started.

    SIGVTALRM, SIGALRM and their timers, and `faulthandler.dump_traceback_later`, are its own.

    Args:
        seconds: how long a stage may compute without a pause.
    """

    def __init__(self, seconds: float = FROZEN_SECONDS) -> None:
        self._seconds = seconds
        self._beat_seconds = min(_BEAT_SECONDS, seconds / 5)
        self._set_back_at = 0.0
        self._beat: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begins to watch; from here on a crash of the process writes its tracebacks too."""
        faulthandler.enable(file=_STDERR)
        # The previous handler that it chains to is the default: to end the process.
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
        faulthandler.register(signal.SIGVTALRM, file=_STDERR, chain=True)
        signal.signal(signal.SIGALRM, self._warn)
        self._set_back()
        self._beat = gevent.spawn(self._keep_setting_back)
        self._beat.name = "watchdog's heartbeat"

    def stop(self) -> None:
        """Watches no more."""
        if self._beat is None:
            return
        self._beat.kill()
        self._beat = None
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        faulthandler.unregister(signal.SIGVTALRM)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def turn(self) -> None:
        """Says that a greenlet has computed for a while and pauses. Sets back what is due."""
        if self._beat is not None and monotonic() - self._set_back_at > self._beat_seconds:
            self._set_back()

    def _keep_setting_back(self) -> None:
        while True:
            gevent.sleep(self._beat_seconds)
            self._set_back()

    def _set_back(self) -> None:
        self._set_back_at = monotonic()
        signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)
        signal.setitimer(signal.ITIMER_REAL, self._seconds / 2)
        faulthandler.dump_traceback_later(self._seconds * WAITING, exit=True, file=_STDERR)

    def _warn(self, _: int, frame: FrameType | None) -> None:
        where = "unknown code"
        if frame is not None:
            code = frame.f_code
            where = f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})"
        logger.error(
            "the event loop has not turned for %g s; it is in %s", self._seconds / 2, where
        )
