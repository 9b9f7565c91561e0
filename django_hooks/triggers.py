"""PostgreSQL's triggers for the models whose hook is a `TriggerHook`: text, installation, drift.

For each table one function and two triggers: rows that are inserted, updated or deleted, and rows
about to be truncated. All call one further function that makes an event and refuses what is none,
as the hooks do. Row by row, because the row's lock is what keeps an object's events in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_hooks.models import OutboxRow
from django_hooks.trigger_hook import Column, TriggerHook
from pushgate.channels import BACKLOG_SUFFIX, FORM, RULE
from pushgate.event import FORMAT_VERSION, MAX_DATA_BYTES

PREFIX = "pushgate_"
ROWS_TRIGGER = "pushgate_rows"
TRUNCATE_TRIGGER = "pushgate_truncate"
SILENT = "pushgate.silent"
"""A PostgreSQL setting; while it is `on`, triggers tell nothing."""

_EVENT_FUNCTION = "pushgate_event"
_LONGEST_NAME = 63
_INSTALLING = 0x70757368
_SOURCE = "<the written rows>"

# pg_trigger.tgtype: row 1, before 2, insert 4, delete 8, update 16, truncate 32.
_ROW, _BEFORE, _TRUNCATE = 1, 2, 32
_OPERATIONS = {"created": ("INSERT", 4), "deleted": ("DELETE", 8), "updated": ("UPDATE", 16)}

_EVENT_BODY = f"""
DECLARE
    name text;
    told text[] := '{{}}';
BEGIN
    FOREACH name IN ARRAY channels LOOP
        CONTINUE WHEN name IS NULL OR name = ANY (told);
        IF name COLLATE "C" !~ '^(?:{FORM})$' OR name COLLATE "C" ~ '{BACKLOG_SUFFIX}$' THEN
            RAISE EXCEPTION 'channel "%" of %: {RULE}', name, object
                USING ERRCODE = 'check_violation';
        END IF;
        told := told || name;
    END LOOP;
    IF told = '{{}}' THEN
        RETURN NULL;
    END IF;
    IF octet_length(data) > {MAX_DATA_BYTES} THEN
        RAISE EXCEPTION 'the data of % are % bytes; use at most {MAX_DATA_BYTES}',
            object, octet_length(data) USING ERRCODE = 'check_violation';
    END IF;
    -- In the form of Event.to_json. The id is a UUID of version 7: milliseconds, then chance.
    RETURN '{{"v":{FORMAT_VERSION},"type":' || to_json(type) || ',"channels":'
        || array_to_json(told) || ',"data":' || data
        || ',"key":' || to_json(coalesce(nullif(key, ''), told[1]))
        || ',"object":' || to_json(object) || ',"version":0,"id":"'
        || lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14)
        || '","at":"' || to_char(clock_timestamp() AT TIME ZONE 'UTC',
            'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '","correlation_id":"","traceparent":"","flags":{{}}}}';
END
"""
_EVENT_ARGUMENTS = "type text, channels text[], data text, key text, object text"

_FUNCTIONS = """
    SELECT p.proname, n.nspname, p.prosrc, coalesce(p.proconfig, '{}')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE starts_with(p.proname, %s) AND n.nspname = %s
"""
_TRIGGERS = """
    SELECT t.tgname, c.relname, n.nspname, p.proname, t.tgtype, t.tgenabled
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgname IN (%s, %s) AND NOT t.tgisinternal AND t.tgparentid = 0
"""
_SCHEMA = """
    SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass(%s)
"""


@dataclass(frozen=True, slots=True)
class Drift:
    """Something that is not in the database as the hooks say it.

    Attributes:
        what: the trigger or function, with its table.
        state: `missing`, `outdated`, `disabled` or `orphaned`.
    """

    what: str
    state: str

    def __str__(self) -> str:
        return f"{self.what}: {self.state}"


@dataclass(frozen=True, slots=True)
class _Function:
    name: str
    schema: str
    arguments: str
    returns: str
    body: str

    @property
    def sql(self) -> str:
        # The path is the function's own: the writer's may find other tables by these names.
        return (
            f"CREATE OR REPLACE FUNCTION {_quoted(self.schema, self.name)}({self.arguments})\n"
            f"RETURNS {self.returns} LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp\n"
            f"AS $pushgate${self.body}$pushgate$"
        )


@dataclass(frozen=True, slots=True)
class _Trigger:
    name: str
    schema: str
    table: str
    function: _Function
    events: str
    kind: int

    @property
    def what(self) -> str:
        return f"trigger {self.name} on {self.schema}.{self.table}"

    @property
    def sql(self) -> tuple[str, str]:
        each = "ROW" if self.kind & _ROW else "STATEMENT"
        return (
            _drop_trigger(self.name, self.schema, self.table),
            f'CREATE TRIGGER "{self.name}" {self.events} ON {_quoted(self.schema, self.table)}\n'
            f"FOR EACH {each} EXECUTE FUNCTION "
            f"{_quoted(self.function.schema, self.function.name)}()",
        )


class Triggers:
    """The triggers of a site's hooks in one PostgreSQL database.

    Args:
        alias: Django's name of the database.
        hooks: the site's hooks; those that are no `TriggerHook` are left out, as are models whose
            table is not in this database.
    """

    def __init__(self, alias: str, hooks: Iterable[Any]) -> None:
        self.alias = alias
        self._connection: BaseDatabaseWrapper = connections[alias]
        self._hooks = [hook for hook in hooks if isinstance(hook, TriggerHook)]

    def statements(self) -> list[str]:
        """Return the SQL that installs all of them."""
        functions, triggers = self._wanted()
        return [
            *(function.sql for function in functions),
            *(statement for trigger in triggers for statement in trigger.sql),
        ]

    def drift(self) -> list[Drift]:
        """Return what is missing, outdated, disabled or orphaned."""
        return [drift for drift, _ in self._differences()]

    def install(self) -> list[Drift]:
        """Put right what differs, in one transaction, and return what that was.

        What does not differ is not touched: creating a trigger waits for the table's writers.
        """
        with transaction.atomic(using=self.alias), self._connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_INSTALLING])
            differences = self._differences()
            for _, statements in differences:
                for statement in statements:
                    cursor.execute(statement)
        return [drift for drift, _ in differences]

    def remove(self) -> int:
        """Remove all of Pushgate's triggers and functions; return how many."""
        with transaction.atomic(using=self.alias), self._connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_INSTALLING])
            functions, triggers = self._found()
            for name, table, schema in triggers:
                cursor.execute(_drop_trigger(name, schema, table))
            for name, schema in functions:
                cursor.execute(_drop_function(name, schema))
        return len(functions) + len(triggers)

    def _differences(self) -> list[tuple[Drift, Sequence[str]]]:
        """Return what differs with the statements that put it right, in the order to run them."""
        functions, triggers = self._wanted()
        found_functions, found_triggers = self._found()
        differences: list[tuple[Drift, Sequence[str]]] = []
        for function in functions:
            found = found_functions.pop((function.name, function.schema), None)
            expected = (function.body, ["search_path=pg_catalog, pg_temp"])
            if found != expected:
                state = "missing" if found is None else "outdated"
                differences.append((Drift(f"function {function.name}", state), [function.sql]))
        for trigger in triggers:
            there = found_triggers.pop((trigger.name, trigger.table, trigger.schema), None)
            if there == (trigger.function.name, trigger.kind, "O"):
                continue
            state = "missing" if there is None else "outdated"
            if there is not None and there[2] == "D":
                state = "disabled"
            differences.append((Drift(trigger.what, state), trigger.sql))
        for name, table, schema in found_triggers:
            drift = Drift(f"trigger {name} on {schema}.{table}", "orphaned")
            differences.append((drift, [_drop_trigger(name, schema, table)]))
        for name, schema in found_functions:
            drift = Drift(f"function {name}", "orphaned")
            differences.append((drift, [_drop_function(name, schema)]))
        return differences

    def _found(
        self,
    ) -> tuple[
        dict[tuple[str, str], tuple[str, list[str]]],
        dict[tuple[str, str, str], tuple[str, int, str]],
    ]:
        schema = self._schema_of(OutboxRow._meta.db_table)
        with self._connection.cursor() as cursor:
            cursor.execute(_FUNCTIONS, [PREFIX, schema])
            functions = {(row[0], row[1]): (row[2], row[3]) for row in cursor.fetchall()}
            cursor.execute(_TRIGGERS, [ROWS_TRIGGER, TRUNCATE_TRIGGER])
            triggers = {(row[0], row[1], row[2]): (row[3], row[4], row[5]) for row in cursor}
        return functions, triggers

    def _wanted(self) -> tuple[list[_Function], list[_Trigger]]:
        outbox = OutboxRow._meta.db_table
        outbox_schema = self._schema_of(outbox)
        functions: list[_Function] = []
        triggers: list[_Trigger] = []
        if outbox_schema is None:
            return functions, triggers
        event = _Function(_EVENT_FUNCTION, outbox_schema, _EVENT_ARGUMENTS, "text", _EVENT_BODY)
        for hook in self._hooks:
            table = hook.model._meta.db_table
            schema = self._schema_of(table)
            operations = [_OPERATIONS[name] for name in _OPERATIONS if name in hook.actions]
            if schema is None or not operations:
                continue
            body = _body(hook, _quoted(schema, table), _quoted(outbox_schema, outbox), event)
            function = _Function(_function_name(table), outbox_schema, "", "trigger", body)
            functions.append(function)
            events = "AFTER " + " OR ".join(name for name, _ in operations)
            kind = _ROW + sum(bit for _, bit in operations)
            triggers.append(_Trigger(ROWS_TRIGGER, schema, table, function, events, kind))
            if "deleted" in hook.actions:
                events, kind = "BEFORE TRUNCATE", _BEFORE + _TRUNCATE
                triggers.append(_Trigger(TRUNCATE_TRIGGER, schema, table, function, events, kind))
        return ([event, *functions] if functions else []), triggers

    def _schema_of(self, table: str) -> str | None:
        with self._connection.cursor() as cursor:
            cursor.execute(_SCHEMA, [self._connection.ops.quote_name(table)])
            row = cursor.fetchone()
        return row[0] if row else None


@contextmanager
def triggers_silent(using: str) -> Iterator[None]:
    """Have the triggers of a database tell nothing of what this connection writes in the block.

    The block is a transaction; it takes two queries. For a `loaddata`, say, which on PostgreSQL
    tells as any other write does.
    """
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute("SELECT set_config(%s, 'on', true)", [SILENT])
        yield
        cursor.execute("SELECT set_config(%s, '', true)", [SILENT])


def _body(hook: TriggerHook[Any], table: str, outbox: str, event: _Function) -> str:
    options = hook.model._meta
    pairs = ", ".join(f"{_text(name)}, {_json(col)}" for name, col in hook.data_columns.items())
    channels = ", ".join(_joined(parts) for parts in hook.channel_parts)
    object_name = f"{_text(options.label_lower + ':')} || told.{_name(options.pk.column)}"
    insert = f"""INSERT INTO {outbox} (event, created_at, refused)
        SELECT made.event, clock_timestamp(), ''
        FROM (
            SELECT {_quoted(event.schema, event.name)}(
                {_text(str(options.model_name) + ".")} || action, ARRAY[{channels}]::text[],
                json_build_object({pairs})::text,
                {_joined(hook.key_parts) if hook.key_parts else "''"}, {object_name}
            ) AS event
            FROM {_SOURCE} AS told ORDER BY told.{_name(options.pk.column)}
        ) AS made
        WHERE made.event IS NOT NULL;"""
    watched = _watched(hook)
    changed = " OR ".join(
        f"OLD.{_name(column)} IS DISTINCT FROM NEW.{_name(column)}" for column in watched
    )
    unwatched = (
        f"""
    IF TG_OP = 'UPDATE' AND NOT ({changed}) THEN
        RETURN NULL;
    END IF;"""
        if watched
        else ""
    )
    return f"""
DECLARE
    action text := CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'updated'
        ELSE 'deleted' END;
    written {table}%ROWTYPE;
BEGIN
    IF coalesce(current_setting('{SILENT}', true), '') = 'on' THEN
        RETURN NULL;
    END IF;{unwatched}
    IF TG_OP = 'TRUNCATE' THEN
        {insert.replace(_SOURCE, table)}
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        written := OLD;
    ELSE
        written := NEW;
    END IF;
    {insert.replace(_SOURCE, "(SELECT written.*)")}
    RETURN NULL;
END
"""


def _watched(hook: TriggerHook[Any]) -> list[str]:
    return [hook.column(name).name for name in hook.watched_fields or ()]


def _json(column: Column) -> str:
    return column.sql.replace("{}", f"told.{_name(column.name)}")


def _joined(parts: Sequence[str | Column]) -> str:
    """Return a format as SQL; NULL when one of its columns is."""
    return " || ".join(
        f"told.{_name(part.name)}::text" if isinstance(part, Column) else _text(part)
        for part in parts
    )


def _function_name(table: str) -> str:
    name = f"{PREFIX}tell_{table}"
    if len(name.encode()) > _LONGEST_NAME:
        digest = hashlib.sha256(table.encode()).hexdigest()[:10]
        name = f"{name.encode()[: _LONGEST_NAME - 11].decode(errors='ignore')}_{digest}"
    return name


def _drop_trigger(name: str, schema: str, table: str) -> str:
    return f"DROP TRIGGER IF EXISTS {_name(name)} ON {_quoted(schema, table)}"


def _drop_function(name: str, schema: str) -> str:
    return f"DROP FUNCTION IF EXISTS {_quoted(schema, name)}"


def _quoted(schema: str, name: str) -> str:
    return f"{_name(schema)}.{_name(name)}"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    if "\\" in text:
        return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    return "'" + text.replace("'", "''") + "'"
