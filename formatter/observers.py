"""What can happen in a worker, as a class of hooks that do nothing: metrics and traces override
those they care for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from pushgate import Event

logger = logging.getLogger("formatter")


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
            outcome: `published`, `suppressed`, `expired` or `dead`.
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

    def sent(self, publisher: str, items: int, seconds: float) -> None:
        """A publisher's consumer took items, as one sending."""

    def failed(self, publisher: str, error: Exception) -> None:
        """A sending failed; its items are sent again, or are dead."""

    def dead(self, publisher: str, items: int) -> None:
        """A publisher gave items up."""

    def lag(self, publisher: str, seconds: float) -> None:
        """The age of the oldest frame that a publisher has not done with; 0 when there is none."""


_HOOKS = tuple(name for name in vars(Observer) if not name.startswith("_"))


class Audience(Observer):
    """All observers as one; tells a hook only to those that override it."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        for name in _HOOKS:
            wanting = [
                getattr(observer, name)
                for observer in observers
                if getattr(type(observer), name) is not getattr(Observer, name)
            ]
            setattr(self, name, _Calls(wanting) if wanting else _nobody)

    def wants(self, hook: str) -> bool:
        """Whether anybody cares for a hook, so that what it costs to tell is worth while."""
        return getattr(self, hook) is not _nobody


def _nobody(*_: object) -> None:
    """Nobody is told."""


class _Calls:
    """Calls several hooks with the same arguments."""

    def __init__(self, hooks: Sequence[Callable[..., None]]) -> None:
        self._hooks = tuple(hooks)

    def __call__(self, *arguments: Any) -> None:
        for hook in self._hooks:
            try:
                hook(*arguments)
            except Exception:
                # The boundary of an observer: what goes wrong while watching changes nothing.
                logger.exception("observer %r failed", hook)
