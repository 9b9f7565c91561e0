"""`manage.py push_status`: what Pushgate does now, and what is wrong with it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandParser

from django_hooks.figures import OLDEST_SECONDS, Figures, rows, take_figures
from django_hooks.management.text import aligned, duration
from django_hooks.settings import hooks_settings
from pushgate import Control, Keys, connect
from pushgate.connection import away


class Command(BaseCommand):
    """Says how Pushgate is; its exit status is 1 when something is wrong."""

    help = (
        "Shows queue, relay, ledger and dead letters. Ends with status 1 when the ledger does not "
        "balance, no relay leads, a partition is nobody's, or an event waits for too long."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add `--json` and `--oldest`."""
        parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
        parser.add_argument(
            "--oldest",
            type=float,
            default=OLDEST_SECONDS,
            metavar="SECONDS",
            help="how long an event may wait (default %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the figures; end with status 1 when something is wrong."""
        settings = hooks_settings()
        figures = None
        with connect(settings.redis_url) as client:
            try:
                figures = take_figures(
                    Control(client, Keys(settings.namespace), settings.partitions)
                )
                complaints = figures.complaints(options["oldest"])
            except redis.RedisError as error:
                complaints = [away(error)]
        found = as_json(figures, complaints) if options["json"] else as_text(figures, complaints)
        for line in found:
            self.stdout.write(line)
        if complaints:
            sys.exit(1)


def as_json(figures: Figures | None, complaints: list[str]) -> Iterator[str]:
    """Return the figures as one JSON object."""
    known = asdict(figures) | {"at": figures.at} if figures else {}
    if figures:
        known["ledger"]["accepted"] = figures.ledger.accepted
        known["ledger"]["balances"] = figures.ledger.balances
    yield json.dumps({"healthy": not complaints, "complaints": complaints, **known}, default=_plain)


def as_text(figures: Figures | None, complaints: list[str]) -> Iterator[str]:
    """Return the figures as lines for people."""
    if not complaints:
        yield "Pushgate is well."
    yield from complaints
    if figures is None:
        return
    if figures.paused:
        yield figures.paused
    yield ""
    yield from aligned(
        [
            ("partition", "jobs", "oldest", "worked by"),
            *(
                (
                    state.partition,
                    state.jobs,
                    _age(figures, state.oldest_at),
                    (state.holder or "nobody") + (" (paused)" if state.paused else ""),
                )
                for state in figures.partitions
            ),
        ]
    )
    yield ""
    yield from aligned(
        [
            ("database", "rows to relay", "oldest", "kept aside"),
            *((o.alias, rows(o), _age(figures, o.oldest_at), o.refused) for o in figures.outboxes),
            *((o.alias, "?", "?", f"? ({o.reason})") for o in figures.unreadable),
        ]
    )
    ledger = figures.ledger
    sign = "=" if ledger.balances else "IS NOT"
    yield ""
    yield from aligned(
        [
            ("relay", figures.relay_holder or "none"),
            ("dead letters", figures.dead_letters),
            (
                "ledger",
                f"{ledger.accepted} accepted {sign} {ledger.published} published + "
                f"{ledger.suppressed} suppressed + {ledger.dead} dead + {ledger.expired} expired "
                f"+ {ledger.queued} queued",
            ),
            ("writes refused", f"{ledger.refused} (a process had lost its lease)"),
        ]
    )


def _age(figures: Figures, since: datetime | None) -> str:
    return duration(figures.age_seconds(since)) if since else "-"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
