"""Says once in a while what happens all the time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("formatter")

SECONDS_BETWEEN = 60.0


class SeldomWarning:
    """Counts what happens and warns of it at most once in `SECONDS_BETWEEN`. For threads, too.

    Args:
        what: what happens, in the plural: `events passed without author`.
        clock: seconds; a test may pass its own.

    Attributes:
        count: how often it happened.
    """

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = 0
        self._what = what
        self._clock = clock
        self._told = 0
        self._lock = threading.Lock()
        self._quiet_until = 0.0

    def note(self, why: object) -> None:
        """It happened once more; `why` is told when it is the one that is logged."""
        now = self._clock()
        with self._lock:
            self.count += 1
            if now < self._quiet_until:
                return
            self._quiet_until = now + SECONDS_BETWEEN
            more = self.count - self._told
            self._told = self.count
        logger.warning("%s: %d more, the last: %s", self._what, more, why)
