"""Every outbox of the site, for who looks after it: panel, commands, metrics, Celery."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import connections

from django_hooks.connections import control
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


def outboxes(aliases: Iterable[str] | None = None) -> Iterator[Outbox]:
    """Return the outboxes of these databases; of all the site's when none are named."""
    for alias in connections if aliases is None else aliases:
        if connections[alias].vendor in RELAYED_VENDORS:
            outbox = Outbox(alias)
            if outbox.exists():
                yield outbox


def outbox_states(
    marks: Mapping[str, str] | None = None, aliases: Iterable[str] | None = None
) -> list[OutboxState]:
    """Return the state of each outbox: what waits, since when, and what was refused.

    Args:
        marks: the relay's, by source; read from Redis when not given.
        aliases: the databases looked at; all of the site's when not given.

    Raises:
        RedisError: the relay's marks cannot be read.
        django.db.Error: a database cannot be read.
    """
    known = control().relay_marks() if marks is None else marks
    return [outbox.state(_mark_of(outbox, known)) for outbox in outboxes(aliases)]


def readable_outbox_states(
    marks: Mapping[str, str], aliases: Iterable[str] | None = None
) -> tuple[list[OutboxState], list[UnreadableOutbox]]:
    """Return the same of the databases that can be read, and those that cannot."""
    states: list[OutboxState] = []
    unreadable: list[UnreadableOutbox] = []
    for alias in connections if aliases is None else aliases:
        try:
            states += outbox_states(marks, [alias])
        except DatabaseError as error:
            unreadable.append(UnreadableOutbox(alias, type(error).__name__))
    return states, unreadable


def purge_outboxes() -> int:
    """Delete all rows that were relayed and kept for their time; return how many.

    A running relay does so by itself, bit by bit. Raises as `outbox_states` does.
    """
    seconds = hooks_settings().retention_seconds
    marks = control().relay_marks()
    purged = 0
    for outbox in outboxes():
        relayed = _mark_of(outbox, marks)
        while (count := outbox.purge(relayed, seconds, _PURGE_ROWS)) == _PURGE_ROWS:
            purged += count
        purged += count
    return purged


def _mark_of(outbox: Outbox, marks: Mapping[str, str]) -> int:
    return int(marks.get(outbox.source()) or 0)
