"""The app: finds every app's `push.py` when Django is ready."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class DjangoHooksConfig(AppConfig):
    """Pushgate's hooks."""

    name = "django_hooks"
    verbose_name = "Pushgate"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the `push` module of every app, which registers its hooks."""
        from django_hooks import checks

        checks.register_checks()
        autodiscover_modules("push")
