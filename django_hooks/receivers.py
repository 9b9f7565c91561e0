"""From Django's signals to the hooks: small receivers, connected in pairs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any

from django.db import router, transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save

from django_hooks.recorder import record
from django_hooks.registry import ModelHook, Registry

_own_save_base: dict[type[Model], Callable[..., None] | None] = {}


def tell_of_save(
    sender: type[Model], instance: Model, created: bool, raw: bool, using: str, **_: object
) -> None:
    """Record that an instance was created or updated. Raw saves (`loaddata`) are not told of."""
    hook = registry.hook_of(sender)
    if hook is not None and not raw:
        record(hook, instance, "created" if created else "updated", using)


def tell_of_delete(sender: type[Model], instance: Model, using: str, **_: object) -> None:
    """Record that an instance was deleted. Django takes its pk away only after this."""
    hook = registry.hook_of(sender)
    if hook is not None:
        record(hook, instance, "deleted", using)


def connect(hook: ModelHook[Any]) -> None:
    """Connect a hook's model to its signals."""
    model, uid = hook.model, _uid(hook)
    post_save.connect(tell_of_save, sender=model, dispatch_uid=uid)
    post_delete.connect(tell_of_delete, sender=model, dispatch_uid=uid)
    _save_in_a_transaction(model)


def disconnect(hook: ModelHook[Any]) -> None:
    """Undo `connect`."""
    model, uid = hook.model, _uid(hook)
    post_save.disconnect(sender=model, dispatch_uid=uid)
    post_delete.disconnect(sender=model, dispatch_uid=uid)
    own = _own_save_base.pop(model)
    if own is None:
        del model.save_base
    else:
        setattr(model, "save_base", own)  # noqa: B010


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
        with transaction.atomic(using=alias, savepoint=False):
            original(self, raw, force_insert, force_update, alias, update_fields)

    setattr(model, "save_base", save_base)  # noqa: B010


def _uid(hook: ModelHook[Any]) -> str:
    return f"django_hooks:{hook.model._meta.label_lower}"


registry = Registry(connect, disconnect)
"""The site's hooks."""
