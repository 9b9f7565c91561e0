"""Hooks that PostgreSQL can carry out by itself: what is told is declared, not programmed.

On PostgreSQL the triggers that `manage.py migrate` and `manage.py push_triggers` install tell of
every write, whoever makes it: Django, its bulk operations, psql, COPY, another program. There the
hook's Python does nothing, so that nothing is told twice and a save costs no further query. On any
other database the same declaration is carried out in Python.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import connections, models
from django.db.models import Model

from django_hooks import wake
from django_hooks.registry import ACTIONS, Action, ModelHook
from pushgate.event import MAX_CHANNELS, RESERVED_DATA_NAMES

ModelT = TypeVar("ModelT", bound=Model)

MAX_DATA_NAMES = 50
"""PostgreSQL's functions take a hundred arguments: a name and a value for each."""

_NOT_FOR_A_TRIGGER = (
    *("channels", "data", "key", "type", "object"),
    *("flags", "correlation_id", "traceparent"),
)
_MICROSECONDS = 'YYYY-MM-DD"T"HH24:MI:SS.US'


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is told.

    Attributes:
        attribute: what a model's instance calls it.
        name: its name in the table.
        sql: its value as PostgreSQL makes JSON of it; `{}` stands for the column.
        is_word: may stand in a channel's name.
    """

    attribute: str
    name: str
    sql: str
    is_word: bool


class TriggerHook(ModelHook[ModelT]):
    """Says what is told by naming columns, so that PostgreSQL's triggers can tell it.

    In the formats a column stands in braces by its field's name: `"thread:{thread_id}"`. A row
    whose column is NULL is not told to that channel.
    """

    channel_formats: ClassVar[Sequence[str]] = ()
    """The channels: `["thread:{thread_id}"]`."""

    data_fields: ClassVar[Sequence[str] | Mapping[str, str]] = ()
    """The event's data: names of fields, or the data's names with the fields'."""

    key_format: ClassVar[str] = ""
    """The ordering key; the first channel when empty."""

    def __init__(self, model: type[ModelT]) -> None:
        super().__init__(model)
        self._check_model()
        self.data_columns = self._data_columns()
        self.channel_parts = [self._parts(text) for text in self.channel_formats]
        self.key_parts = self._parts(self.key_format)
        if not 1 <= len(self.channel_parts) <= MAX_CHANNELS:
            raise self._mistake(f"channel_formats: give 1 to {MAX_CHANNELS}")

    def channels(self, instance: ModelT, action: Action) -> Sequence[str]:
        """Return the channels, or none where a trigger tells."""
        if action in ACTIONS and told_by_trigger(instance._state.db):
            # The trigger's row is in this transaction as ours would be; only the nudge is left.
            wake.nudge_at_commit(connections[str(instance._state.db)])
            return ()
        names = [_formatted(parts, instance) for parts in self.channel_parts]
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def data(self, instance: ModelT, action: Action) -> Mapping[str, Any]:
        """Return the declared columns as JSON values, as the trigger makes them."""
        return {
            name: _json_value(getattr(instance, column.attribute))
            for name, column in self.data_columns.items()
        }

    def key(self, instance: ModelT, action: Action) -> str:
        """Return the ordering key."""
        return _formatted(self.key_parts, instance) or ""

    def told_by_database(self, using: str) -> bool:
        """Return whether triggers tell of the rows there."""
        return told_by_trigger(using)

    def _check_model(self) -> None:
        if self.model._meta.proxy:
            raise self._mistake("a trigger cannot tell a proxy's rows; register the model itself")
        for name in _NOT_FOR_A_TRIGGER:
            own = getattr(type(self), name)
            if own not in (getattr(TriggerHook, name), getattr(ModelHook, name)):
                raise self._mistake(f"{name}() is Python, which a trigger does not run; leave it")

    def _data_columns(self) -> dict[str, Column]:
        fields = self.data_fields
        if not isinstance(fields, Mapping):
            fields = {name: name for name in fields}
        if len(fields) > MAX_DATA_NAMES:
            raise self._mistake(f"data_fields: {len(fields)} names; use at most {MAX_DATA_NAMES}")
        if taken := RESERVED_DATA_NAMES & fields.keys():
            raise self._mistake(f"data_fields: {', '.join(sorted(taken))} is the frame's own")
        return {name: self.column(field) for name, field in fields.items()}

    def _parts(self, text: str) -> list[str | Column]:
        """Return a format as its words and columns in turn."""
        parts: list[str | Column] = []
        try:
            for words, name, specification, conversion in string.Formatter().parse(text):
                parts += [words] if words else []
                if name is None:
                    continue
                column = self.column(name)
                if specification or conversion or not column.is_word:
                    raise ValueError("name a column of text, whole numbers or UUIDs alone")
                parts.append(column)
        except ValueError as error:
            raise self._mistake(f"{text!r}: {error}") from None
        return parts

    def column(self, name: str) -> Column:
        """Return the column of a field of the model's own table.

        Raises:
            ImproperlyConfigured: there is no such field, or its values have no form in JSON.
        """
        options = self.model._meta
        try:
            field = options.pk if name == "pk" else options.get_field(_without_id(options, name))
        except FieldDoesNotExist:
            field = None
        if not isinstance(field, models.Field) or field not in options.local_concrete_fields:
            raise self._mistake(f"{name!r} is no field of its table {options.db_table}")
        target: models.Field[Any, Any] = field
        while isinstance(target, models.ForeignKey):
            target = target.target_field
        for kinds, sql, is_word in _KINDS:
            if isinstance(target, kinds):
                made = sql() if callable(sql) else sql
                return Column(field.attname, str(field.column), made, is_word)
        raise self._mistake(f"{name!r} is a {type(target).__name__}, which has no form in JSON")

    def _mistake(self, text: str) -> ImproperlyConfigured:
        own = type(self)
        return ImproperlyConfigured(f"{own.__module__}.{own.__qualname__}: {text}")


def told_by_trigger(alias: str | None) -> bool:
    """Return whether triggers tell of the rows in a database."""
    return alias is not None and connections[alias].vendor == "postgresql"


def _moment() -> str:
    from django.conf import settings

    if settings.USE_TZ:
        return f"to_char({{}} AT TIME ZONE 'UTC', '{_MICROSECONDS}\"+00:00\"')"
    return f"to_char({{}}, '{_MICROSECONDS}')"


# The first that fits counts; a DateTimeField is a DateField as well.
_KINDS: tuple[tuple[tuple[type, ...], str | Callable[[], str], bool], ...] = (
    ((models.BooleanField, models.FloatField, models.DecimalField, models.JSONField), "{}", False),
    ((models.IntegerField, models.UUIDField), "{}", True),
    ((models.DateTimeField,), _moment, False),
    ((models.DateField,), "{}", False),
    ((models.TimeField,), "to_char({}, 'HH24:MI:SS.US')", False),
    ((models.DurationField,), "extract(epoch FROM {})", False),
    ((models.CharField, models.TextField, models.FileField), "{}", True),
    ((models.GenericIPAddressField,), "host({})", False),
)


def _without_id(options: Any, name: str) -> str:
    """Return the field's name where its column's was given: `thread` for `thread_id`."""
    for field in options.local_concrete_fields:
        if field.attname == name:
            return str(field.name)
    return name


def _formatted(parts: Sequence[str | Column], instance: Model) -> str | None:
    text = ""
    for part in parts:
        if isinstance(part, Column):
            value = getattr(instance, part.attribute)
            if value is None:
                return None
            text += str(value)
        else:
            text += part
    return text


def _json_value(value: Any) -> Any:
    """Return a field's value as JSON holds it, in the form the triggers give it."""
    if value is None or isinstance(value, bool | int | float | str | dict | list):
        return value
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.isoformat(timespec="microseconds")
    if isinstance(value, time):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    return str(value)
