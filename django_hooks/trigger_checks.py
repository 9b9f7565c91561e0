"""System checks of the triggers; `manage.py check --database ...` and `migrate` run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import connections

from django_hooks.registry import registry
from django_hooks.settings import hooks_settings
from django_hooks.trigger_hook import TriggerHook
from django_hooks.triggers import Triggers


@register(Tags.database)
def check_triggers(databases: Sequence[str] | None, **_: Any) -> list[CheckMessage]:
    """Warn where hooks leave the telling to triggers that are not there as they should be."""
    hooks = [hook for hook in registry if isinstance(hook, TriggerHook)]
    found: list[CheckMessage] = []
    for alias in databases or ():
        if not hooks or connections[alias].vendor != "postgresql":
            continue
        found += [
            Warning(
                f"database {alias!r}: {drift}",
                hint="`manage.py migrate` and `manage.py push_triggers` put it right.",
                id="django_hooks.W101",
            )
            for drift in Triggers(alias, registry).drift()
        ]
        if hooks_settings().mode != "outbox":
            found.append(
                Warning(
                    f"database {alias!r}: triggers write to the outbox whatever PUSHGATE['MODE'] "
                    "says",
                    hint="Run a relay, or derive these hooks from ModelHook: "
                    + ", ".join(type(hook).__qualname__ for hook in hooks),
                    id="django_hooks.W102",
                )
            )
    return found
