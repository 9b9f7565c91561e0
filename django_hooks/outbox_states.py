"""Every outbox of the site at a glance, for who looks after it: panel, commands, metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import connections

from django_hooks.connections import control
from django_hooks.outbox import Outbox, OutboxState


@dataclass(frozen=True, slots=True)
class UnreadableOutbox:
    """A database that could not be asked.

    Attributes:
        alias: Django's name of it.
        reason: the kind of error; no address, which may hold a password.
    """

    alias: str
    reason: str


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
    states = (_state(alias, known) for alias in (connections if aliases is None else aliases))
    return [state for state in states if state is not None]


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


def _state(alias: str, marks: Mapping[str, str]) -> OutboxState | None:
    if not Outbox.is_possible(alias):
        return None
    outbox = Outbox(alias)
    return outbox.state(int(marks.get(outbox.source()) or 0)) if outbox.exists() else None
