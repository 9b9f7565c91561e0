"""Many-to-many relations: who added or removed what, told of the object that has the relation.

`comment.tags.add(tag)` and `tag.comments.add(comment)` are the same change. A hook of `Comment`
with `"tags.added"` among its actions hears of both, and so does one of `Tag` with
`"comments.added"`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import connections, transaction
from django.db.models import ManyToManyField, Model, QuerySet
from django.db.models.signals import m2m_changed, post_save

from django_hooks.recorder import event_of, record
from django_hooks.registry import ModelHook, models_from
from django_hooks.switch import disabled_depth

ADDED = ".added"
REMOVED = ".removed"

_WHAT_HAPPENED = {"post_add": ADDED, "post_remove": REMOVED, "post_clear": REMOVED}

_receivers: dict[ModelHook[Any], list[Relation]] = {}


_LOADED = "_django_hooks_loaded"
"""The name of what marks an instance that `loaddata` is just making."""


class Relation:
    """One many-to-many relation of a hook's model; it receives the signal of its changes.

    Attributes:
        hook: whose model has the relation.
        name: of the relation on that model.
        field: that defines it, on this model or on the one at the other end.
        forward: the field is on this model.
    """

    def __init__(
        self, hook: ModelHook[Any], name: str, field: ManyToManyField[Any, Any], forward: bool
    ) -> None:
        self.hook = hook
        self.name = name
        self.field = field
        self.forward = forward
        self._kept = f"_django_hooks_cleared_{id(self)}"

    @property
    def through(self) -> type[Model]:
        """The model of the table between."""
        through = self.field.remote_field.through
        assert isinstance(through, type)
        return through

    def ends(self) -> list[type[Model]]:
        """Return the models whose managers change the relation."""
        near, far = self.field.model, self.field.related_model
        assert isinstance(far, type)
        return list(dict.fromkeys([*models_from(near), *models_from(far)]))

    def __call__(
        self,
        *,
        instance: Model,
        action: str,
        reverse: bool,
        pk_set: Collection[Any] | None,
        using: str,
        **_: object,
    ) -> None:
        """Record a change; `instance` is at the end whose manager was called."""
        if disabled_depth() or _LOADED in instance.__dict__:
            return
        if action == "pre_clear":
            instance.__dict__[self._kept] = self._others(instance, reverse, using)
            return
        happened = _WHAT_HAPPENED.get(action)
        if happened is None:
            return
        pks = instance.__dict__.pop(self._kept, ()) if action == "post_clear" else pk_set
        told = self.name + happened
        if not pks or told not in self.hook.actions:
            return
        with transaction.atomic(using=using, savepoint=False):
            record(list(self._events(instance, told, reverse, pks, using)), using)

    def _events(
        self, instance: Model, told: str, reverse: bool, pks: Collection[Any], using: str
    ) -> Iterator[str]:
        near = self.forward is not reverse
        if near and isinstance(instance, self.hook.model):
            self._lock([instance.pk], using)
            yield from self._event(instance, told, pks)
        if not near or self.field.remote_field.symmetrical:
            others = self._lock(pks, using)
            self.hook.prepare(others, told)
            for other in others:
                yield from self._event(other, told, [instance.pk])

    def _event(self, instance: Model, told: str, pks: Collection[Any]) -> Iterator[str]:
        event = event_of(self.hook, instance, told, self.hook.relation_data(instance, told, pks))
        if event is not None:
            yield event

    def _lock(self, pks: Collection[Any], using: str) -> list[Model]:
        """Return the objects, their rows locked.

        The table between has been written, not the objects' own. Of two who change one object's
        relations at once, the second must see what the first did and have the later event.
        """
        features = connections[using].features
        rows: QuerySet[Any] = (
            QuerySet(self.hook.model, using=using).filter(pk__in=pks).order_by("pk")
        )
        if features.has_select_for_update:
            rows = rows.select_for_update(no_key=features.has_select_for_no_key_update)
        return list(rows)

    def _others(self, instance: Model, reverse: bool, using: str) -> list[Any]:
        """Return the pks at the other end that a `clear` is about to take away."""
        source, target = self.field.m2m_field_name(), self.field.m2m_reverse_field_name()
        if reverse:
            source, target = target, source
        column = self.through._meta.get_field(target).attname  # type: ignore[union-attr]
        rows: QuerySet[Any] = QuerySet(self.through, using=using).filter(**{source: instance})
        return list(rows.values_list(column, flat=True))


def relation_of(hook: ModelHook[Any], name: str) -> Relation | None:
    """Return the many-to-many relation that is called `name` on the hook's model."""
    options = hook.model._meta
    try:
        field = options.get_field(name)
    except FieldDoesNotExist:
        field = None
    if isinstance(field, ManyToManyField):
        return Relation(hook, name, field, forward=True)
    for relation in options.related_objects:
        if relation.many_to_many and relation.get_accessor_name() == name:
            assert isinstance(relation.field, ManyToManyField)
            return Relation(hook, name, relation.field, forward=False)
    return None


def relation_names(hook: ModelHook[Any]) -> list[str]:
    """Return the names in the hook's actions that stand for relations, each once."""
    names = (
        action.removesuffix(ADDED).removesuffix(REMOVED)
        for action in hook.actions
        if action.endswith((ADDED, REMOVED))
    )
    return list(dict.fromkeys(names))


def mark_loaded(*, instance: Model, raw: bool, **_: object) -> None:
    """Mark what is saved raw: after this `loaddata` sets its relations, and does not say so."""
    if raw:
        instance.__dict__[_LOADED] = True


def connect(hook: ModelHook[Any]) -> None:
    """Connect the relations a hook names. One that there is not is left to the system checks."""
    found = (relation_of(hook, name) for name in relation_names(hook))
    _receivers[hook] = [relation for relation in found if relation is not None]
    for relation in _receivers[hook]:
        m2m_changed.connect(relation, sender=relation.through, weak=False)
        for model in relation.ends():
            post_save.connect(mark_loaded, sender=model, dispatch_uid=id(relation))


def disconnect(hook: ModelHook[Any]) -> None:
    """Undo `connect`."""
    for relation in _receivers.pop(hook):
        m2m_changed.disconnect(relation, sender=relation.through)
        for model in relation.ends():
            post_save.disconnect(sender=model, dispatch_uid=id(relation))
