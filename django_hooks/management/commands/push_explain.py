"""`manage.py push_explain <event id or object>`: the whole way of one event, from row to frame."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections as databases

from django_hooks.explain import EVENT_ID, SITE, Explainer, Way
from django_hooks.management.text import aligned, duration
from django_hooks.settings import hooks_settings
from pushgate import Control, Keys, Tracer, connect
from pushgate.connection import away


class Command(BaseCommand):
    """Explains one event."""

    help = (
        "Says where an event is and when it was where: its outbox row, the relay's mark, the "
        "queue, dead letters, the log. It searches whole streams, so give it a moment."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the event."""
        parser.add_argument(
            "what", help="an event's id (32 hex digits), or an object, threads.comment:17: its last"
        )

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        """Print the way."""
        settings = hooks_settings()
        keys = Keys(settings.namespace)
        with connect(settings.redis_url) as client:
            explainer = Explainer(
                Tracer(client, keys, settings.partitions),
                Control(client, keys, settings.partitions),
                list(databases),
                settings.partitions,
                settings.retention_seconds,
            )
            try:
                way = self._way(explainer, what)
            except redis.RedisError as error:
                raise CommandError(away(error)) from None
        for line in lines(way):
            self.stdout.write(line)

    def _way(self, explainer: Explainer, what: str) -> Way:
        is_id = EVENT_ID.fullmatch(what.lower().replace("-", ""))
        event_id = is_id[0] if is_id else explainer.last_event_of(what)
        way = explainer.way_of(event_id) if event_id else None
        if way is None:
            raise CommandError(
                f"Nothing is known of {'event' if is_id else 'an event of'} {what}: there never "
                "was one, or it was long ago: rows, histories and the log are kept for a while."
            )
        return way


def lines(way: Way) -> list[str]:
    """Return what is printed."""
    rows: list[tuple[str, str, str, str]] = [("step", "time (UTC)", "after", "")]
    last_at, last_clock = None, ""
    for step in way.steps:
        if step.at is None:
            rows.append((step.name, "?", "", step.what))
            continue
        after = duration((step.at - last_at).total_seconds()) if last_at else ""
        if last_at and last_clock != step.clock:
            after += " *"
        time = step.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        rows.append((step.name, time, after, step.what))
        last_at, last_clock = step.at, step.clock
    found = [f"event {way.event_id}", way.about, "", *aligned(rows)]
    if any(row[2].endswith("*") for row in rows):
        found += ["", f"* from the {SITE}'s clock to that of Redis: right as far as they agree"]
    if way.unknown:
        found += ["", "Not known any more:", *(f"- {sentence}" for sentence in way.unknown)]
    return found
