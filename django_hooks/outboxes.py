"""Every outbox of the site, for who looks after it: panel, commands, metrics, Celery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import connections

from django_hooks.connections import job_queue
from django_hooks.outbox import RELAYED_VENDORS, Outbox, OutboxState
from django_hooks.settings import hooks_settings

_PURGE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class UnreadableOutbox:
    """A database that could not be asked.

    Attributes:
        alias: Django's name of it.
        reason: the kind of error; no address, which may hold a password.
    """

    alias: str
    reason: str


def outboxes() -> Iterator[Outbox]:
    """Return the outboxes of the site's databases, each once, whatever aliases it has."""
    places = set()
    for alias in connections:
        outbox = outbox_of(alias)
        if outbox is not None and outbox.place() not in places:
            places.add(outbox.place())
            yield outbox


def outbox_of(alias: str) -> Outbox | None:
    """Return the outbox of a database, or None when it has none that the relay can read."""
    if connections[alias].vendor not in RELAYED_VENDORS:
        return None
    outbox = Outbox(alias)
    return outbox if outbox.exists() else None


def outbox_states() -> list[OutboxState]:
    """Return the state of each outbox: what waits, since when, and what was refused.

    Raises:
        RedisError: the relay's mark cannot be read.
        django.db.Error: a database cannot be read.
    """
    return [outbox.state(_mark_of(outbox)) for outbox in outboxes()]


def readable_outbox_states(
    marks: Mapping[str, str],
) -> tuple[list[OutboxState], list[UnreadableOutbox]]:
    """Return the state of each outbox that can be read, and the databases that cannot.

    Args:
        marks: the relay's, by source (`Control.relay_marks`).
    """
    states: list[OutboxState] = []
    unreadable: list[UnreadableOutbox] = []
    places = set()
    for alias in connections:
        try:
            outbox = outbox_of(alias)
            if outbox is not None and outbox.place() not in places:
                places.add(outbox.place())
                states.append(outbox.state(int(marks.get(outbox.source()) or 0)))
        except DatabaseError as error:
            unreadable.append(UnreadableOutbox(alias, type(error).__name__))
    return states, unreadable


def purge_outboxes() -> int:
    """Delete all rows that were relayed and kept for their time; return how many.

    A running relay does so by itself, bit by bit. Raises as `outbox_states` does.
    """
    seconds = hooks_settings().retention_seconds
    purged = 0
    for outbox in outboxes():
        relayed = _mark_of(outbox)
        while (count := outbox.purge(relayed, seconds, _PURGE_ROWS)) == _PURGE_ROWS:
            purged += count
        purged += count
    return purged


def _mark_of(outbox: Outbox) -> int:
    return int(job_queue().mark(outbox.source()) or 0)
