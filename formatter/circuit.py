"""A circuit breaker: what fails again and again is left alone for a while, then tried by one call.

pybreaker counts and keeps the state. It is told how each call ended and does not make the calls
itself: it holds its lock as long as one lasts, so that a thousand greenlets would go one by one.
Nor does it keep the time, for it looks at the wall clock, which may be set back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pybreaker

from formatter.errors import TransientError

logger = logging.getLogger("formatter")


class CircuitOpen(TransientError):
    """It failed a moment ago and was not tried."""


class Circuit:
    """Lets calls through as long as they succeed.

    After `failures` of them in a row it is open: none passes for `seconds`, then one does, for
    trial; if it succeeds all pass again. For threads and for greenlets.

    Args:
        name: what is called, for the log and for errors.
        failures: how many in a row open it.
        seconds: how long it stays open before a trial.
        clock: seconds; a test may pass its own.
    """

    def __init__(
        self,
        name: str,
        failures: int,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._clock = clock
        self._breaker = pybreaker.CircuitBreaker(fail_max=failures, throw_new_error_on_trip=False)
        self._changed = threading.Condition()
        self._is_on_trial = False
        self._try_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are held back."""
        return self._breaker.current_state != pybreaker.STATE_CLOSED

    @contextmanager
    def passing(self, wait_seconds: float = 0.0) -> Iterator[None]:
        """The block is the call: a `TransientError` is a failure of it, any other error an answer.

        Args:
            wait_seconds: how long to wait for an open circuit to close.

        Raises:
            CircuitOpen: it did not, and the block was not run.
        """
        is_trial = self.is_open and self._wait(wait_seconds)
        try:
            yield
        except TransientError as error:
            self._note(is_trial, error)
            raise
        except Exception:
            self._note(is_trial, None)
            raise
        except BaseException:
            # The greenlet was told to end: that says nothing about what was called.
            self._end_trial(is_trial)
            raise
        self._note(is_trial, None)

    def _wait(self, wait_seconds: float) -> bool:
        """Waits until the circuit is closed (False) or this call is the trial (True)."""
        give_up_at = self._clock() + wait_seconds
        with self._changed:
            while self.is_open:
                now = self._clock()
                if not self._is_on_trial and now >= self._try_at:
                    self._is_on_trial = True
                    return True
                if now >= give_up_at:
                    raise CircuitOpen(f"{self._name} failed a moment ago; it is left alone for now")
                wake_at = give_up_at if self._is_on_trial else min(give_up_at, self._try_at)
                self._changed.wait(wake_at - now)
        return False

    def _note(self, is_trial: bool, failure: TransientError | None) -> None:
        with self._changed:
            was_open = self.is_open
            # A call that began before the circuit opened says nothing new.
            if is_trial or not was_open:
                if is_trial:
                    self._breaker.half_open()
                with suppress(TransientError):
                    self._breaker.call(_end_as, failure)
                if self.is_open:
                    self._try_at = self._clock() + self._seconds
                self._tell(was_open, failure)
        self._end_trial(is_trial)

    def _end_trial(self, is_trial: bool) -> None:
        if is_trial:
            with self._changed:
                self._is_on_trial = False
                self._changed.notify_all()

    def _tell(self, was_open: bool, failure: TransientError | None) -> None:
        if self.is_open and not was_open:
            logger.warning("%s: left alone, for it failed repeatedly: %s", self._name, failure)
        elif was_open and not self.is_open:
            logger.info("%s: answers again", self._name)


def _end_as(failure: TransientError | None) -> None:
    if failure is not None:
        raise TransientError(str(failure))
