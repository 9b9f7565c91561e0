"""What Pushgate does at this moment, and what is wrong with it: for the control panel and
`push_status`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils import timezone

from django_hooks.outbox import COUNTED_ROWS, OutboxState
from django_hooks.outboxes import UnreadableOutbox, readable_outbox_states
from django_hooks.settings import hooks_settings
from pushgate import Control, Ledger
from pushgate.control import PartitionState

OLDEST_SECONDS = 60.0
"""An event that waits longer than this is a complaint."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at everything.

    Attributes:
        at: when it was taken.
        partitions: of the job queue, by number.
        relay_holder: the relay that leads; "" when none does.
        relay_needed: the site writes outbox rows, which somebody must relay.
        ledger: the books.
        dead_letters: how many are kept.
        outboxes: what waits in each database.
        unreadable: databases that could not be asked.
    """

    at: datetime
    partitions: tuple[PartitionState, ...]
    relay_holder: str
    relay_needed: bool
    ledger: Ledger
    dead_letters: int
    outboxes: tuple[OutboxState, ...]
    unreadable: tuple[UnreadableOutbox, ...]

    @property
    def jobs(self) -> int:
        """Jobs in all partitions."""
        return sum(state.jobs for state in self.partitions)

    @property
    def pending(self) -> int:
        """Outbox rows that wait, in all databases."""
        return sum(outbox.waiting for outbox in self.outboxes)

    @property
    def oldest_job_at(self) -> datetime | None:
        """Since when the oldest job waits."""
        return _first(state.oldest_at for state in self.partitions)

    @property
    def oldest_row_at(self) -> datetime | None:
        """Since when the oldest outbox row waits."""
        return _first(aware(outbox.oldest_at) for outbox in self.outboxes)

    @property
    def holders(self) -> list[str]:
        """The formatter processes that hold partitions."""
        return sorted({state.holder for state in self.partitions if state.holder})

    @property
    def paused(self) -> str:
        """What an operator has stopped, as one sentence; "" when nothing is."""
        names = [str(state.partition) for state in self.partitions if state.paused]
        if not names:
            return ""
        return f"Paused: partition{'s' if len(names) > 1 else ''} {', '.join(names)}."

    def age_seconds(self, since: datetime | None) -> float:
        """Return how long ago something was, never below zero: not all clocks agree."""
        since = aware(since)
        return max(0.0, (self.at - since).total_seconds()) if since else 0.0

    def complaints(self, oldest_seconds: float = OLDEST_SECONDS) -> list[str]:
        """Return what is wrong, one sentence each; nothing when all is well.

        Args:
            oldest_seconds: how long an event may wait.
        """
        return [*self._missing(), *self._late(oldest_seconds), *self._wrong()]

    def _missing(self) -> Iterable[str]:
        orphans = [str(state.partition) for state in self.partitions if not state.holder]
        if len(orphans) == len(self.partitions):
            yield "No formatter runs: nobody works any partition."
        elif orphans:
            plural = "s" if len(orphans) > 1 else ""
            yield f"Partition{plural} {', '.join(orphans)}: nobody holds the lease."
        if self.relay_needed and not self.relay_holder:
            yield "No relay leads: outbox rows wait until one does."

    def _late(self, oldest_seconds: float) -> Iterable[str]:
        for state in self.partitions:
            age = self.age_seconds(state.oldest_at)
            if age > oldest_seconds:
                why = "; it is paused" if state.paused else ""
                yield f"Partition {state.partition}: its oldest job waits for {age:.0f} s{why}."
        for outbox in self.outboxes:
            age = self.age_seconds(outbox.oldest_at)
            if age > oldest_seconds:
                yield f"Database {outbox.alias}: its oldest row waits for {age:.0f} s."

    def _wrong(self) -> Iterable[str]:
        for outbox in self.unreadable:
            yield f"Database {outbox.alias}: it cannot be read ({outbox.reason})."
        if not self.ledger.balances:
            yield (
                f"The ledger does not balance: {self.ledger.difference:+d} events were accepted "
                "and are in no state."
            )


def take_figures(control: Control) -> Figures:
    """Look at Redis and at every database.

    Args:
        control: of the site's namespace.

    Raises:
        RedisError: Redis cannot be reached.
    """
    partitions = tuple(control.partitions())
    outboxes, unreadable = readable_outbox_states(control.relay_marks())
    return Figures(
        at=datetime.now(UTC),
        partitions=partitions,
        relay_holder=control.relay_holder(),
        relay_needed=hooks_settings().mode == "outbox",
        ledger=control.ledger(),
        dead_letters=control.count_dead_letters(),
        outboxes=tuple(outboxes),
        unreadable=tuple(unreadable),
    )


def aware(moment: datetime | None) -> datetime | None:
    """Return a time with its zone: those of Redis have one, a site's with USE_TZ = False none."""
    return timezone.make_aware(moment) if moment and timezone.is_naive(moment) else moment


def rows(outbox: OutboxState) -> str:
    """Return how many rows wait, as text: beyond a bound they are not counted."""
    return f"{outbox.waiting}{' or more' if outbox.waiting >= COUNTED_ROWS else ''}"


def _first(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
