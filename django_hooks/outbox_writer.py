"""Writes events to the outbox of a database: one statement for one event, one for many.

Plain SQL, made once for each kind of database: a save waits for this, and the ORM would take
longer over the row than everything else a hook does together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field

from django_hooks.models import OutboxRow
from pushgate import Event

ROWS_IN_A_STATEMENT = 10_000
BYTES_IN_A_STATEMENT = 16 * 1024 * 1024


def write_events(events: Sequence[Event], using: str) -> None:
    """Write one row for each event, in order, into the outbox of the database `using`.

    It takes one INSERT, and another for each `ROWS_IN_A_STATEMENT` or `BYTES_IN_A_STATEMENT` more.
    """
    connection = connections[using]
    if len(events) == 1:
        with connection.cursor() as cursor:
            cursor.execute(_insert_one(connection.vendor), _row(events[0], connection))
        return
    for texts in _statements(events):
        _write_many(texts, connection)


def _write_many(texts: Sequence[str], connection: BaseDatabaseWrapper) -> None:
    others = [_value(field, connection) for field in _other_fields()]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # One array whatever the number of rows. Rows get their ids in the order of the sort.
            types = (field.db_type(connection) for field in _other_fields())
            values = ", ".join(f"%s::{type_}" for type_ in types)
            cursor.execute(
                f"INSERT INTO {_table(connection)} SELECT event, {values} "
                "FROM unnest(%s::text[]) WITH ORDINALITY AS told(event, place) ORDER BY place",
                [*others, list(texts)],
            )
        else:
            cursor.executemany(_insert_one(connection.vendor), [(text, *others) for text in texts])


def _statements(events: Sequence[Event]) -> Iterator[list[str]]:
    texts: list[str] = []
    size = 0
    for event in events:
        text = event.to_json().decode()
        if texts and (len(texts) == ROWS_IN_A_STATEMENT or size + len(text) > BYTES_IN_A_STATEMENT):
            yield texts
            texts, size = [], 0
        texts.append(text)
        size += len(text)
    if texts:
        yield texts


def _row(event: Event, connection: BaseDatabaseWrapper) -> list[Any]:
    text = event.to_json().decode()
    return [text, *(_value(field, connection) for field in _other_fields())]


@cache
def _insert_one(vendor: str) -> str:
    connection = next(one for one in connections.all() if one.vendor == vendor)
    places = ", ".join(["%s"] * (1 + len(_other_fields())))
    return f"INSERT INTO {_table(connection)} VALUES ({places})"


def _table(connection: BaseDatabaseWrapper) -> str:
    quote = connection.ops.quote_name
    columns = [OutboxRow._meta.get_field("event"), *_other_fields()]
    named = ", ".join(quote(str(field.column)) for field in columns)
    return f"{quote(OutboxRow._meta.db_table)} ({named})"


@cache
def _other_fields() -> tuple[Field[Any, Any], ...]:
    """Return what a row has besides its id and its event, each with a default."""
    return tuple(
        field
        for field in OutboxRow._meta.local_concrete_fields
        if not field.primary_key and field.name != "event"
    )


def _value(field: Field[Any, Any], connection: BaseDatabaseWrapper) -> Any:
    return field.get_db_prep_save(field.get_default(), connection)
