"""Relay and purge as Celery tasks, for sites where Celery Beat is to drive them.

    CELERY_BEAT_SCHEDULE = {
        "relay": {
            "task": "django_hooks.tasks.relay_outbox",
            "schedule": 60,
            "kwargs": {"seconds": 58},
        },
        "purge": {"task": "django_hooks.tasks.purge_outbox", "schedule": 300},
    }

With `seconds` the task leads for that long and is woken at each commit, as `push_relay` is; it
takes a worker's slot meanwhile. Without, it moves what waits and ends; the next event waits for the
next task.
"""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from django_hooks.outboxes import purge_outboxes
from django_hooks.relay import relay_of
from django_hooks.settings import hooks_settings

try:
    from celery import shared_task
except ImportError as error:
    raise ImproperlyConfigured(
        'django_hooks.tasks needs Celery: pip install "pushgate[celery]", or run '
        "manage.py push_relay instead"
    ) from error


@shared_task(ignore_result=True)  # type: ignore[untyped-decorator]
def relay_outbox(seconds: float = 0) -> int:
    """Move outbox rows under the relay's lease; do nothing where another relay leads.

    Args:
        seconds: for how long to wait for more; 0 moves what is there.

    Returns:
        How many rows were moved.
    """
    return relay_of(hooks_settings()).run_for(seconds)


@shared_task(ignore_result=True)  # type: ignore[untyped-decorator]
def purge_outbox() -> int:
    """Delete rows that were relayed and kept for their time; return how many."""
    return purge_outboxes()
