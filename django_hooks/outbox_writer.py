"""Writes events to the outbox of a database: one statement for one event, one for many.

Plain SQL, made once for each kind of database: a save waits for this, and the ORM would take
longer over the row than everything else a hook does together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from django_hooks.models import OutboxRow
from pushgate.event import now_rfc3339

ROWS_IN_A_STATEMENT = 10_000
BYTES_IN_A_STATEMENT = 16 * 1024 * 1024

COLUMNS = ("event", "created_at", "refused")
"""What is written of a row; its id is the database's."""

_NOT_REFUSED = ""

_inserts: dict[str, str] = {}


def write_events(events: Sequence[str], connection: BaseDatabaseWrapper) -> None:
    """Write one row for each event (its JSON), in order, into the outbox of a database.

    It takes one INSERT, and another for each `ROWS_IN_A_STATEMENT` or `BYTES_IN_A_STATEMENT` more.
    """
    if len(events) == 1:
        values = (events[0], _now(connection), _NOT_REFUSED)
        with connection.cursor() as cursor:
            cursor.execute(_insert_one(connection), values)
    else:
        for part in _statements(events):
            _write_many(part, connection)


def _write_many(events: Sequence[str], connection: BaseDatabaseWrapper) -> None:
    now = _now(connection)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # One array whatever the number of rows. Rows get their ids in the order of the sort.
            cursor.execute(
                f"INSERT INTO {_table(connection)} "
                f"SELECT event, %s::{_type_of_now(connection)}, %s "
                "FROM unnest(%s::text[]) WITH ORDINALITY AS told(event, place) ORDER BY place",
                [now, _NOT_REFUSED, list(events)],
            )
        else:
            rows = [(event, now, _NOT_REFUSED) for event in events]
            cursor.executemany(_insert_one(connection), rows)


def _statements(events: Sequence[str]) -> Iterator[list[str]]:
    """Return the events in parts of bounded length."""
    part: list[str] = []
    size = 0
    for event in events:
        if part and (len(part) == ROWS_IN_A_STATEMENT or size + len(event) > BYTES_IN_A_STATEMENT):
            yield part
            part, size = [], 0
        part.append(event)
        size += len(event)
    if part:
        yield part


def _insert_one(connection: BaseDatabaseWrapper) -> str:
    try:
        return _inserts[connection.vendor]
    except KeyError:
        places = ", ".join(["%s"] * len(COLUMNS))
        made = f"INSERT INTO {_table(connection)} VALUES ({places})"
        return _inserts.setdefault(connection.vendor, made)


def _table(connection: BaseDatabaseWrapper) -> str:
    quote = connection.ops.quote_name
    return f"{quote(OutboxRow._meta.db_table)} ({', '.join(map(quote, COLUMNS))})"


def _type_of_now(connection: BaseDatabaseWrapper) -> str:
    return str(OutboxRow._meta.get_field("created_at").db_type(connection))


def _now(connection: BaseDatabaseWrapper) -> Any:
    """Return this moment as the database's driver wants it."""
    # Django's own way asks the settings six times; most sites keep their times in UTC.
    if connection.timezone is UTC:
        if connection.vendor == "postgresql":
            return now_rfc3339()
        if connection.vendor == "sqlite":
            return now_rfc3339().replace("T", " ")[:-1]
    return connection.ops.adapt_datetimefield_value(timezone.now())
