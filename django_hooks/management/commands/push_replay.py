"""`manage.py push_replay threads.Comment --since 2h`: tells of rows anew, as they are now."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import DateTimeField, Model, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from django_hooks.recorder import event_of, record
from django_hooks.registry import ModelHook, registry

BATCH_ROWS = 500

_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Command(BaseCommand):
    """Records an `updated` event for each of a model's rows."""

    help = (
        "Records the current state of a model's rows as `updated` events through its hook, in the "
        "order of their primary keys, a batch and a transaction at a time: after raw SQL, say, or "
        "to fill a reader that was added later. Pages drop what they have by object and version."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the model and which of its rows."""
        parser.add_argument("model", help="threads.Comment")
        parser.add_argument(
            "--since", help="only rows changed since: 30m, 2h, 7d, or a date and time (ISO 8601)"
        )
        parser.add_argument("--field", help="which date and time says when a row was changed")
        parser.add_argument("--after", metavar="PK", help="only rows behind this one: to go on")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, choices=list(connections))
        parser.add_argument("--dry-run", action="store_true", help="say how many rows, tell nobody")

    def handle(self, *args: Any, **options: Any) -> None:
        """Tell of the rows and say how many there were."""
        model, hook = _model_and_hook(options["model"])
        alias = options["database"]
        rows = model._base_manager.using(alias).order_by("pk")
        if options["since"]:
            name = options["field"] or _time_of_change(model)
            rows = rows.filter(**{f"{_checked_field(model, name)}__gte": _moment(options["since"])})
        elif options["field"]:
            raise CommandError("--field says nothing without --since")
        after = _pk(model, options["after"]) if options["after"] else None
        if options["dry_run"]:
            count = _behind(rows, after).count()
            self.stdout.write(f"Would tell of {count} rows of {model._meta.label}.")
            return
        self._replay(rows, hook, alias, after)

    def _replay(self, rows: QuerySet[Model], hook: ModelHook[Any], alias: str, after: Any) -> None:
        told = 0
        try:
            while batch := _tell_of_batch(rows, hook, alias, after):
                after, told = batch[-1].pk, told + len(batch)
        except BaseException:
            self.stderr.write(
                f"Stopped after {told} rows"
                + (f"; go on with --after {after}" if told else "")
                + ". What was told stays told."
            )
            raise
        self.stdout.write(f"Told of {told} rows of {hook.model._meta.label}.")


def _tell_of_batch(
    rows: QuerySet[Model], hook: ModelHook[Any], alias: str, after: Any
) -> list[Model]:
    """Tell of the next rows; return them.

    They are locked from reading to recording: else a change between the two would get the lower
    version, and pages would keep the older state.
    """
    with transaction.atomic(using=alias):
        batch = list(_behind(rows, after).select_for_update()[:BATCH_ROWS])
        told = (event_of(hook, row, "updated") for row in batch)
        record([event for event in told if event is not None], alias)
    return batch


def _behind(rows: QuerySet[Model], after: Any) -> QuerySet[Model]:
    return rows if after is None else rows.filter(pk__gt=after)


def _model_and_hook(label: str) -> tuple[type[Model], ModelHook[Any]]:
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise CommandError(f"There is no model {label!r}: {error}") from None
    hook = registry.hook_of(model)
    if hook is None:
        raise CommandError(f"{model._meta.label} has no hook; register one in its app's push.py")
    if "updated" not in hook.actions:
        raise CommandError(f"The hook of {model._meta.label} does not tell of updates")
    return model, hook


def _time_of_change(model: type[Model]) -> str:
    """Return the one field that can say when a row was changed."""
    times = [field for field in model._meta.concrete_fields if isinstance(field, DateTimeField)]
    for found in ([field for field in times if field.auto_now], times):
        if len(found) == 1:
            return found[0].name
    names = ", ".join(field.name for field in times) or "none is there"
    raise CommandError(f"Which time of {model._meta.label} says so? --field, one of: {names}")


def _checked_field(model: type[Model], name: str) -> str:
    times = [f.name for f in model._meta.concrete_fields if isinstance(f, DateTimeField)]
    if name not in times:
        raise CommandError(
            f"{model._meta.label} has no date and time called {name!r}; it has: "
            f"{', '.join(times) or 'none'}"
        )
    return name


def _moment(text: str) -> datetime:
    ago = _AGO.fullmatch(text)
    if ago:
        return timezone.now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = parse_datetime(text)
        if moment is None and (day := parse_date(text)) is not None:
            moment = datetime(day.year, day.month, day.day)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(f"--since {text!r}: use 30m, 2h, 7d, or 2026-01-31T12:00")
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def _pk(model: type[Model], text: str) -> Any:
    try:
        return model._meta.pk.to_python(text)
    except ValidationError:
        raise CommandError(f"--after {text!r} is no primary key of {model._meta.label}") from None
