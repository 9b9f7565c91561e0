"""Every outbox of the site at a glance, for who looks after it: panel, commands, metrics."""

from __future__ import annotations

from django.db import connections

from django_hooks.connections import job_queue
from django_hooks.outbox import Outbox, OutboxState


def outbox_states() -> list[OutboxState]:
    """Return the state of each outbox: what waits, since when, and what was refused.

    Raises:
        RedisError: the relay's mark cannot be read.
        django.db.Error: a database cannot be read.
    """
    queue = job_queue()
    states = []
    for alias in connections:
        if not Outbox.is_possible(alias):
            continue
        outbox = Outbox(alias)
        if outbox.exists():
            states.append(outbox.state(int(queue.mark(outbox.source()) or 0)))
    return states
