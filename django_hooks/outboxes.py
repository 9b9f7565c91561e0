"""Every outbox of the site, for who looks after it: panel, commands, metrics, Celery."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connections

from django_hooks.connections import job_queue
from django_hooks.outbox import RELAYED_VENDORS, Outbox, OutboxState
from django_hooks.settings import hooks_settings

_PURGE_ROWS = 1000


def outboxes() -> Iterator[Outbox]:
    """Return the outboxes of the site's databases."""
    for alias in connections:
        if connections[alias].vendor in RELAYED_VENDORS:
            outbox = Outbox(alias)
            if outbox.exists():
                yield outbox


def outbox_states() -> list[OutboxState]:
    """Return the state of each outbox: what waits, since when, and what was refused.

    Raises:
        RedisError: the relay's mark cannot be read.
        django.db.Error: a database cannot be read.
    """
    return [outbox.state(_mark_of(outbox)) for outbox in outboxes()]


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
