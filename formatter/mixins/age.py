"""Events that are worth nothing late: who is typing, who is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from formatter.errors import EventExpired
from formatter.mixins.needs import check_number, needed
from formatter.pipeline import Pipeline
from pushgate import Event

MOST_SECONDS = 1e9
"""Thirty years."""


class DropOldMixin(Pipeline):
    """Drops an event that comes too late, after an outage say; it is booked as expired.

    The event's `at` is compared with this machine's clock: allow for what clocks differ.

    Attributes:
        longest_age_seconds: how old an event may be.
    """

    longest_age_seconds: float

    def __init__(self) -> None:
        """Reads the age.

        Raises:
            InvalidPipelines: `longest_age_seconds` is missing, or no time.
        """
        super().__init__()
        seconds = needed(self, DropOldMixin, "longest_age_seconds", 30)
        check_number(self, "longest_age_seconds", most=MOST_SECONDS)
        self._longest_age = timedelta(seconds=seconds)

    def admit(self, event: Event) -> bool:
        """See the class.

        Raises:
            EventExpired: it comes too late.
        """
        age = datetime.now(UTC) - datetime.fromisoformat(event.at)
        if age > self._longest_age:
            raise EventExpired(f"event {event.id}: {age.total_seconds():.0f} s old")
        return super().admit(event)
