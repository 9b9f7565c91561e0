"""`manage.py push_revoke --user 7` or `--channel thread:1`: makes tokens void at once."""

from __future__ import annotations

from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_hooks.settings import hooks_settings
from pushgate import InvalidChannel, Keys, connect
from pushgate.connection import away
from pushgate.revocation import RedisRevocations


class Command(BaseCommand):
    """Revokes the tokens of a user, or what tokens open a channel."""

    help = (
        "Makes tokens void that were made until now, and has streams opened with them cut. Take "
        "the user's rights away first: who still has them gets a new token at the next page."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add `--user` and `--channel`."""
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument(
            "--user", metavar="PK", help="all tokens of the user of this primary key"
        )
        whose.add_argument("--channel", metavar="NAME", help="for this channel, or all of prefix:*")

    def handle(self, *args: Any, user: str | None, channel: str | None, **options: Any) -> None:
        """Revoke."""
        settings = hooks_settings()
        with connect(settings.redis_url) as client:
            revocations = RedisRevocations(client, Keys(settings.namespace))
            try:
                if channel is not None:
                    revocations.revoke_channel(channel)
                    self.stdout.write(f"No token made until now opens {channel} any more.")
                else:
                    revocations.revoke_user(user or "")
                    self.stdout.write(f"All tokens made until now for user {user} are void.")
            except (InvalidChannel, ValueError) as error:
                raise CommandError(str(error)) from None
            except redis.RedisError as error:
                raise CommandError(f"{away(error)} Nothing may have been revoked.") from None
