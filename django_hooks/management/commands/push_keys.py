"""`manage.py push_keys`: what the gateway needs to verify tokens, as a JSON Web Key Set."""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_hooks import token_keys
from django_hooks.token_settings import ALGORITHMS, token_settings


class Command(BaseCommand):
    """Prints the keys, or draws one."""

    help = "Prints the keys that verify tokens as a JSON Web Key Set, for the gateway."
    # A key that Django's checks refuse is what one comes to replace.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add `--secrets` and `--new`."""
        parser.add_argument(
            "--secrets",
            action="store_true",
            help="HS256 keys too: whoever reads them can make tokens",
        )
        parser.add_argument("--new", choices=ALGORITHMS, help="draw a key, as a line of settings")

    def handle(self, *args: Any, secrets: bool, new: str | None, **options: Any) -> None:
        """Print."""
        if new:
            key = token_keys.new_key(time.strftime("%Y-%m-%d", time.gmtime()), new)
            self.stdout.write(json.dumps({"kid": key.kid, "alg": key.alg, "key": key.key}))
            return
        keys = token_settings().token_keys
        shared = [key.kid for key in keys if key.alg == "HS256"]
        if shared and not secrets:
            raise CommandError(
                f"Keys {', '.join(shared)} are HS256: what verifies them can also sign. Say "
                "--secrets to print them, and keep the output from everybody but the gateway."
            )
        self.stdout.write(json.dumps({"keys": [token_keys.as_jwk(key) for key in keys]}))
