"""`manage.py push_triggers`: PostgreSQL's triggers for the hooks that declare what they tell."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from django_hooks.registry import registry
from django_hooks.triggers import Triggers


class Command(BaseCommand):
    """Installs, checks, prints or removes the triggers."""

    help = (
        "Installs the triggers by which PostgreSQL tells of every write to the models whose hook "
        "is a TriggerHook, and removes those nobody wants any more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the database and what to do."""
        parser.add_argument("--database", help="an alias; by default every PostgreSQL there is")
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--check", action="store_true", help="only say what differs; exit status 1 if anything"
        )
        what.add_argument("--print", action="store_true", help="only print the SQL")
        what.add_argument("--remove", action="store_true", help="remove all of them")

    def handle(self, *args: Any, database: str | None, **options: Any) -> None:
        """Do it in each database."""
        differs = False
        for alias in self._aliases(database):
            triggers = Triggers(alias, registry)
            if options["print"]:
                self.stdout.write(";\n\n".join([*triggers.statements(), ""]).rstrip("\n"))
            elif options["remove"]:
                self.stdout.write(f"{alias}: removed {triggers.remove()}.")
            elif options["check"]:
                drift = triggers.drift()
                differs = differs or bool(drift)
                for one in drift:
                    self.stdout.write(f"{alias}: {one}")
            else:
                put_right = triggers.install()
                for one in put_right:
                    self.stdout.write(f"{alias}: {one}, put right")
                if not put_right:
                    self.stdout.write(f"{alias}: all triggers are as they should be.")
        if differs:
            sys.exit(1)

    def _aliases(self, database: str | None) -> list[str]:
        if database is None:
            return [alias for alias in connections if connections[alias].vendor == "postgresql"]
        if database not in connections.settings:
            raise CommandError(f"There is no database {database!r}.")
        if connections[database].vendor != "postgresql":
            raise CommandError(f"{database!r} is no PostgreSQL; hooks tell there in Python.")
        return [database]
