"""How far the relay is behind: the rows that wait, by database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import connections
from django.utils import timezone

from django_hooks.models import OutboxIdentity, OutboxRow
from django_hooks.outbox import Outbox

MOST_COUNTED = 10_000
"""Rows beyond are not counted: whoever looks is not to make a full database slower."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in one database's outbox.

    Attributes:
        alias: Django's name of the database.
        pending: rows not relayed; `MOST_COUNTED` stands for that many or more.
        oldest_at: when the first of them was written; None when there is none.
        refused: rows kept aside because they hold no event.
        trouble: why it could not be read; "" when it could.
    """

    alias: str
    pending: int = 0
    oldest_at: datetime | None = None
    refused: int = 0
    trouble: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether there may be more pending rows than were counted."""
        return self.pending >= MOST_COUNTED


def read_backlogs(
    marks: Mapping[str, str], aliases: Iterable[str] | None = None
) -> tuple[Backlog, ...]:
    """Return the backlog of every database that has an outbox.

    Args:
        marks: the relay's, by source (`Control.relay_marks`).
        aliases: the databases looked at; all of the site's when not given.
    """
    found = (_read(alias, marks) for alias in (connections if aliases is None else aliases))
    return tuple(backlog for backlog in found if backlog is not None)


def source_of(alias: str) -> str:
    """Return what the relay calls this outbox in Redis; "" before it ever looked at it."""
    identity = OutboxIdentity.objects.using(alias).first()
    return f"{alias}:{identity}" if identity else ""


def _read(alias: str, marks: Mapping[str, str]) -> Backlog | None:
    try:
        if not Outbox(alias).exists():
            return None
        mark = int(marks.get(source_of(alias)) or 0)
        rows = OutboxRow.objects.using(alias)
        waiting = rows.filter(id__gt=mark, refused="").order_by("id")
        return Backlog(
            alias,
            pending=waiting[:MOST_COUNTED].count(),
            oldest_at=aware(waiting.values_list("created_at", flat=True).first()),
            refused=rows.exclude(refused="")[:MOST_COUNTED].count(),
        )
    except ImproperlyConfigured:
        return None
    except DatabaseError as error:
        return Backlog(alias, trouble=f"cannot be read ({type(error).__name__})")


def aware(moment: datetime | None) -> datetime | None:
    """Return a time with its zone: those of Redis have one, a site's with USE_TZ = False none."""
    return timezone.make_aware(moment) if moment and timezone.is_naive(moment) else moment
