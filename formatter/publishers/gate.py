"""How hard a consumer that fails is tried: less with each failure, and by one sending at a time."""

from __future__ import annotations

from formatter.backoff import full_jitter

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0

FAILURES_TO_CLOSE = 3
"""So many in a row are the consumer's doing, not that of what is sent."""


def backoff_seconds(failures: int) -> float:
    """How long to leave a consumer alone, by its failures in a row."""
    return full_jitter(failures, FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)


class Gate:
    """Between a publisher and its consumer. Open, all may pass; closed, one after the other, later
    each time. It is told the time.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._closed_until = 0.0
        self.last_success: float | None = None

    @property
    def is_closed(self) -> bool:
        """Whether one sending at a time passes."""
        return self._failures >= FAILURES_TO_CLOSE

    def opens_at(self) -> float:
        """Before this, nothing passes."""
        return self._closed_until

    def succeeded(self, now: float) -> None:
        """A sending was taken."""
        self._failures = 0
        self.last_success = now

    def failed(self, now: float, retry_after_seconds: float = 0.0) -> None:
        """A sending was not taken, and the consumer may want to be left alone for a while."""
        wait = retry_after_seconds
        # What was under way when it closed says nothing new.
        if now >= self._closed_until:
            self._failures += 1
            if self.is_closed:
                wait = max(wait, backoff_seconds(self._failures - FAILURES_TO_CLOSE + 1))
        self._closed_until = max(self._closed_until, now + wait)
