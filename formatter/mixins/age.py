"""Events that are worth nothing late: who is typing, who is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from formatter.errors import EventExpired, InvalidPipelines
from formatter.mixins.needs import needed
from formatter.pipeline import Pipeline
from pushgate import Event


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
        if not isinstance(seconds, int | float) or not 0 < seconds < 1e9:
            raise InvalidPipelines(
                f"{type(self).__name__}.longest_age_seconds = {seconds!r}: use seconds above 0"
            )
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
