"""From Django's signals to the hooks: small receivers, connected in pairs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any

from django.db import connections, router, transaction
from django.db.models import Model
from django.db.models.signals import class_prepared, post_delete, post_save

from django_hooks import relations
from django_hooks.recorder import event_of, record, record_deletions
from django_hooks.registry import ModelHook, models_from, registry
from django_hooks.switch import disabled_depth

_own_save_base: dict[type[Model], Callable[..., None] | None] = {}


def tell_of_save(
    sender: type[Model],
    instance: Model,
    created: bool,
    raw: bool,
    using: str,
    update_fields: Collection[str] | None,
    **_: object,
) -> None:
    """Record that an instance was created or updated. Raw saves (`loaddata`) are not told of."""
    if raw or disabled_depth():
        return
    events = []
    for hook in registry.hooks_told(sender):
        if created or hook.watches(update_fields):
            event = event_of(hook, instance, "created" if created else "updated")
            if event is not None:
                events.append(event)
    record(events, using)


def tell_of_delete(sender: type[Model], instance: Model, using: str, **_: object) -> None:
    """Record that an instance was deleted. Django takes its pk away only after this.

    Django deletes a parent in a table of its own by itself, with a signal of its own.
    """
    if disabled_depth():
        return
    concrete = sender._meta.concrete_model
    events = []
    for hook in registry.hooks_told(sender):
        if hook.model._meta.concrete_model is concrete:
            event = event_of(hook, instance, "deleted")
            if event is not None:
                events.append(event)
    record_deletions(events, using)


def connect(hook: ModelHook[Any]) -> None:
    """Connect the signals of a hook's model and of all models made from it."""
    for model in models_from(hook.model):
        _connect_signals(model)
    relations.connect(hook)
    _save_in_a_transaction(hook.model)


def disconnect(hook: ModelHook[Any]) -> None:
    """Undo `connect`."""
    for model in models_from(hook.model):
        if not registry.hooks_told(model):
            post_save.disconnect(sender=model, dispatch_uid=_UID)
            post_delete.disconnect(sender=model, dispatch_uid=_UID)
    relations.disconnect(hook)
    own = _own_save_base.pop(hook.model)
    if own is None:
        del hook.model.save_base
    else:
        setattr(hook.model, "save_base", own)  # noqa: B010


def connect_late_model(sender: type[Model], **_: object) -> None:
    """Connect a model that was made from a registered one after that was registered."""
    if registry.hooks_told(sender):
        _connect_signals(sender)


_UID = "django_hooks"


def _connect_signals(model: type[Model]) -> None:
    post_save.connect(tell_of_save, sender=model, dispatch_uid=_UID)
    post_delete.connect(tell_of_delete, sender=model, dispatch_uid=_UID)


def _save_in_a_transaction(model: type[Model]) -> None:
    """Make a model's plain `save()` one transaction with its outbox row.

    Outside of `atomic` Django commits the row before it sends `post_save`; a process that dies
    between the two would lose the event. `delete()` is one transaction by itself.
    """
    original: Callable[..., None] = model.save_base
    _own_save_base[model] = model.__dict__.get("save_base")

    @wraps(original)
    def save_base(
        self: Model,
        raw: bool = False,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Collection[str] | None = None,
    ) -> None:
        alias = using or router.db_for_write(type(self), instance=self)
        connection = connections[alias]
        if not connection.in_atomic_block:
            with transaction.atomic(using=alias, savepoint=False):
                original(self, raw, force_insert, force_update, alias, update_fields)
            return
        # What an inner `atomic` without a savepoint does, at a fraction of its price.
        try:
            original(self, raw, force_insert, force_update, alias, update_fields)
        except BaseException:
            connection.needs_rollback = True
            raise

    setattr(model, "save_base", save_base)  # noqa: B010


registry.attach(connect, disconnect)

class_prepared.connect(connect_late_model, dispatch_uid=_UID)
