"""The app: finds every app's `push.py` when Django is ready."""

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class DjangoHooksConfig(AppConfig):
    """Pushgate's hooks."""

    name = "django_hooks"
    verbose_name = "Pushgate"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the `push` module of every app, which registers its hooks."""
        from django_hooks import checks, receivers  # noqa: F401 # attaches itself

        checks.register_checks()
        autodiscover_modules("push")
        from django_hooks import token_checks, trigger_checks  # noqa: F401 # register themselves

        # With a sender a receiver is called once for each app; ours once for each `migrate`.
        post_migrate.connect(_install_triggers, sender=self, dispatch_uid="django_hooks.triggers")


def _install_triggers(using: str, **_: Any) -> None:
    """Put the triggers right, so that hooks that leave it to them wait for no second command."""
    from django_hooks.registry import registry
    from django_hooks.triggers import Triggers

    if connections[using].vendor == "postgresql":
        Triggers(using, registry).install()
