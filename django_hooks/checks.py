"""What can be seen to be wrong when a site starts: Django's system checks.

The table of all of them, with what to do, is in this folder's README.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, Warning
from django.db import connections, router
from django.db.models import Manager, Model

from django_hooks.models import OutboxRow
from django_hooks.outbox import RELAYED_VENDORS
from django_hooks.registry import ACTIONS, ModelHook, models_from, registry
from django_hooks.relations import ADDED, REMOVED, relation_of
from django_hooks.settings import HooksSettings, hooks_settings
from django_hooks.trigger_hook import TriggerHook, told_by_trigger
from pushgate import InvalidSetting, connect

TAG = "django_hooks"


def register_checks() -> None:
    """Have Django run these checks."""
    checks.register(check_settings, TAG)
    checks.register(check_hooks, TAG)
    checks.register(check_managers, TAG)
    checks.register(check_databases, TAG)
    checks.register(check_tables, Tags.database)


def check_settings(**_: object) -> list[CheckMessage]:
    """Look at the setting PUSHGATE."""
    if not hasattr(settings, "PUSHGATE"):
        return [
            Warning(
                "the setting PUSHGATE is missing: Redis is looked for on this machine",
                hint='Set PUSHGATE = {"REDIS_URL": "redis://...", "GATEWAY_URL": "https://..."}.',
                id="django_hooks.W001",
            )
        ]
    try:
        given = HooksSettings.from_mapping(settings.PUSHGATE)
    except InvalidSetting as error:
        hint = "The names and what they mean are in django_hooks/settings.py."
        return [Error(str(error), hint=hint, id="django_hooks.E001")]
    try:
        connect(given.redis_url)
    except InvalidSetting as error:
        return [
            Error(
                f'PUSHGATE["REDIS_URL"]: {error.__context__ or error}',
                hint="Use redis://host:6379/0, rediss://... or unix:///path?db=0.",
                id="django_hooks.E002",
            )
        ]
    return []


def check_hooks(**_: object) -> list[CheckMessage]:
    """Look at each hook class."""
    if not list(registry):
        return [
            Warning(
                "no model is registered: nothing is told",
                hint="Register hooks in a module push.py of an app in INSTALLED_APPS.",
                id="django_hooks.W002",
            )
        ]
    return [message for hook in registry for message in _look_at(hook)]


def _look_at(hook: ModelHook[Any]) -> Iterator[CheckMessage]:
    cls, label = type(hook), hook.model._meta.label
    for method in ("channels", "data"):
        if getattr(cls, method) is getattr(ModelHook, method):
            yield Error(
                f"the hook of {label} does not define {method}()",
                hint=f"Define {method}(self, instance, action); every write would fail.",
                obj=cls,
                id="django_hooks.E003",
            )
    for action in hook.actions:
        name = action.removesuffix(ADDED).removesuffix(REMOVED)
        if action not in ACTIONS and (name == action or relation_of(hook, name) is None):
            yield Error(
                f"the hook of {label} names the action {action!r}, which never happens",
                hint=f"Use {', '.join(ACTIONS)}, or <relation>.added and <relation>.removed with "
                "the name of a many-to-many relation of the model.",
                obj=cls,
                id="django_hooks.E004",
            )
    for name in hook.watched_fields or ():
        if not _is_column(hook.model, name):
            yield Error(
                f"the hook of {label} watches {name!r}, which is no field with a column",
                hint="Name the model's fields; changes of a many-to-many relation are actions.",
                obj=cls,
                id="django_hooks.E005",
            )
    if hook.model._meta.proxy and registry.hook_of(_concrete(hook.model)) is None:
        yield Warning(
            f"{label} is a proxy: writes through {_concrete(hook.model)._meta.label} are not told",
            hint="Register the concrete model; its hook is told of writes through proxies as well.",
            obj=cls,
            id="django_hooks.W003",
        )


def check_managers(**_: object) -> list[CheckMessage]:
    """Look for managers whose bulk writes nobody would be told of."""
    from django_hooks.querysets import PushQuerySet

    def tells(manager: Manager[Any]) -> bool:
        return isinstance(manager.get_queryset(), PushQuerySet)

    told = dict.fromkeys(
        model for hook in registry if not _has_triggers(hook) for model in models_from(hook.model)
    )
    # Children inherit managers: what was said of a parent is not said again.
    found: list[CheckMessage] = []
    named: set[int] = set()
    warned: list[type[Model]] = []
    for model in told:
        options = model._meta
        for manager in options.managers:
            if manager.creation_counter in named or tells(manager):
                continue
            named.add(manager.creation_counter)
            found.append(
                Warning(
                    f"{options.label}.{manager.name}: bulk_create(), bulk_update() and update() "
                    "are not told",
                    hint="Use PushManager, or derive its queryset from PushQuerySet "
                    "(django_hooks.querysets).",
                    obj=model,
                    id="django_hooks.W004",
                )
            )
        if (
            _has_foreign_key(model)
            and not tells(options.base_manager)
            and not issubclass(model, tuple(warned))
        ):
            warned.append(model)
            found.append(
                Warning(
                    f"{options.label}: what Django writes by the base manager is not told: "
                    "on_delete=SET_NULL and its like, add() and set() at the other end of a "
                    "foreign key",
                    hint='Set base_manager_name = "objects" in its Meta, with a PushManager of '
                    "that name that leaves no row out.",
                    obj=model,
                    id="django_hooks.W005",
                )
            )
    return found


def check_databases(**_: object) -> list[CheckMessage]:
    """Look whether each registered model is written where its outbox can be."""
    if not _uses_outbox():
        return []
    found: list[CheckMessage] = []
    for alias, labels in _written_databases().items():
        database = connections[alias]
        if database.vendor not in RELAYED_VENDORS:
            found.append(
                Error(
                    f"database {alias!r}, to which {', '.join(labels)} is written, is "
                    f"{database.display_name}: the relay cannot read an outbox there",
                    hint='Use PostgreSQL or SQLite, or set PUSHGATE["MODE"] = "on_commit".',
                    id="django_hooks.E006",
                )
            )
        elif not router.allow_migrate_model(alias, OutboxRow):
            found.append(
                Error(
                    f"DATABASE_ROUTERS allow no outbox in database {alias!r}, to which "
                    f"{', '.join(labels)} is written: every write would fail",
                    hint="Let allow_migrate() return True or None for the app django_hooks there; "
                    "an event is written in the transaction of its row.",
                    id="django_hooks.E007",
                )
            )
    return found


def check_tables(
    *,
    databases: Sequence[str] | None = None,
    app_configs: Iterable[AppConfig] | None = None,
    **_: object,
) -> list[CheckMessage]:
    """Look whether the outbox has been migrated; `check --database` and `migrate` ask for this.

    A database without any migration is left alone: it is just being made.
    """
    if not _uses_outbox():
        return []
    found: list[CheckMessage] = []
    for alias in _written_databases().keys() & set(databases or ()):
        tables = connections[alias].introspection.table_names()
        if "django_migrations" in tables and OutboxRow._meta.db_table not in tables:
            found.append(
                Warning(
                    f"database {alias!r} has no outbox: every write of a registered model fails",
                    hint=f"Run manage.py migrate --database {alias}.",
                    id="django_hooks.W006",
                )
            )
    return found


def _uses_outbox() -> bool:
    try:
        return hooks_settings().mode == "outbox"
    except InvalidSetting:
        return False  # `check_settings` says so.


def _written_databases() -> dict[str, list[str]]:
    """Return the registered models by the database they are written to, as the routers say."""
    found: dict[str, list[str]] = {}
    for hook in registry:
        found.setdefault(router.db_for_write(hook.model), []).append(hook.model._meta.label)
    return found


def _is_column(model: type[Model], name: str) -> bool:
    return any(name in {field.name, field.attname} for field in model._meta.concrete_fields)


def _has_foreign_key(model: type[Model]) -> bool:
    return any(
        field.remote_field and not field.remote_field.parent_link
        for field in model._meta.concrete_fields
    )


def _concrete(model: type[Model]) -> type[Model]:
    concrete = model._meta.concrete_model
    assert concrete is not None
    return concrete


def _has_triggers(hook: ModelHook[Any]) -> bool:
    """Return whether triggers tell of the model wherever it is written, past any manager."""
    return isinstance(hook, TriggerHook) and all(map(told_by_trigger, connections))
