"""What can happen in a worker, as a class of hooks that do nothing: metrics and traces override
those they care for.
"""

from __future__ import annotations

from collections.abc import Sequence

from pushgate import Event


class Observer:
    """Watches a worker. Each hook is called by the greenlet in which it happens and must not wait.

    What a hook raises is logged and ends nothing.
    """

    def claimed(self, partition: str, jobs: int) -> None:
        """Jobs were claimed, as one batch."""

    def began(self, event: Event, attempts: int) -> None:
        """An event is about to enter its pipeline.

        `ended` or `retried` follows in the same greenlet, and nothing of another event between.
        """

    def stage_ended(self, event: Event, stage: str, seconds: float) -> None:
        """A stage has run, waits counted in; one of another process tells nothing."""

    def retried(self, event: Event, attempts: int, error: Exception) -> None:
        """An attempt failed and another will follow."""

    def ended(
        self, event: Event | None, outcome: str, attempts: int, seconds_since_event: float
    ) -> None:
        """A job came to its end; what it became is about to be written.

        Args:
            event: None when the job's body was none.
            outcome: `published`, `suppressed` or `dead`.
            attempts: how often it was tried.
            seconds_since_event: from the event's `at` to now; 0 without an event.
        """

    def finished(self, partition: str, jobs: int) -> None:
        """A batch of ended jobs was written."""

    def lease_taken(self, partition: str) -> None:
        """The worker works a partition from now on."""

    def lease_released(self, partition: str) -> None:
        """The worker gave a partition back."""

    def lease_lost(self, partition: str) -> None:
        """A partition turned out to be another's."""

    def refused(self, partition: str) -> None:
        """A write was refused because the partition is another's."""


def overridden(observers: Sequence[Observer], hook: str) -> bool:
    """Whether any of them cares for a hook, so that what it costs to tell it is worth while."""
    return any(getattr(type(o), hook) is not getattr(Observer, hook) for o in observers)
