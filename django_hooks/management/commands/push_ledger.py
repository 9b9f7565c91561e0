"""`manage.py push_ledger`: the books from outbox to hand-over, and whether they balance."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from django.db import connections

from django_hooks.database_watch import DatabaseWatch
from django_hooks.outbox_books import SiteOutboxes
from django_hooks.settings import hooks_settings
from pushgate import Keys, PushgateError, connect
from pushgate.auditing import Auditor
from pushgate.command_line import (
    WRONG_USE,
    add_ledger_arguments,
    gateways_of,
    lines_of,
    status_of,
    wait_of,
)
from pushgate.connection import away
from pushgate.sheet import Sheet

ANSWER_SECONDS = 60.0
"""What a database has for one answer: to count a big outbox takes many seconds."""


class Command(BaseCommand):
    """Shows the books; with `--check` its exit status says whether they balance."""

    help = (
        "Prints the books by stage: what `pushgate ledger` prints, with the outboxes in front. "
        "Ends with 1 when --check finds that they do not balance, and says where and which events; "
        "with 2 when Redis, a database or a gateway does not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what `pushgate ledger` has, but for what the settings say."""
        add_ledger_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the books."""
        try:
            sheet = self._sheet(options)
        except redis.RedisError as error:
            raise CommandError(away(error), returncode=WRONG_USE) from None
        except DatabaseError as error:
            # No address, which may hold a password.
            kind = type(error).__name__
            raise CommandError(
                f"A database cannot be read ({kind}).", returncode=WRONG_USE
            ) from None
        except PushgateError as error:
            raise CommandError(str(error), returncode=WRONG_USE) from None
        for line in lines_of(sheet, options["json"]):
            self.stdout.write(line)
        if status := status_of(sheet, options["check"]):
            raise SystemExit(status)

    def _sheet(self, options: dict[str, Any]) -> Sheet:
        settings = hooks_settings()
        gateways, wait_seconds = gateways_of(options, os.environ), wait_of(options["wait"])
        watch = DatabaseWatch(ANSWER_SECONDS)
        with ExitStack() as stack, connect(settings.redis_url) as client:
            stack.enter_context(watch)
            stack.callback(watch.give_back)
            for alias in connections:
                stack.enter_context(watch.over_each_statement(alias))
            auditor = Auditor(
                client, Keys(settings.namespace), settings.partitions, gateways, SiteOutboxes()
            )
            return auditor.check(wait_seconds) if options["check"] else auditor.read()
