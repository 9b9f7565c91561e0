"""Which models are told of, and how: one hook class per model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models import Model

Action = str
"""`created`, `updated`, `deleted`, or of a many-to-many relation `tags.added`, `tags.removed`."""

ACTIONS: tuple[Action, ...] = ("created", "updated", "deleted")

PKS_TOLD = 500
"""So many related objects are named in one event; of more, only that there were some."""

ModelT = TypeVar("ModelT", bound=Model)


class ModelHook(Generic[ModelT]):
    """Says what is told when an instance of a model is created, updated or deleted.

    A subclass defines `channels` and `data`; the rest has defaults. The methods run within the
    save or delete, before it commits. What they raise, and an event of theirs that is not valid,
    undoes it.

    Args:
        model: what the class is registered for.
    """

    actions: ClassVar[Sequence[Action]] = ACTIONS
    """Of what is told at all. For a many-to-many relation, by its name on this model (forward or
    reverse), add `"tags.added"` and `"tags.removed"`."""

    watched_fields: ClassVar[Sequence[str] | None] = None
    """The fields whose change is told; None is all of them. An update that names its fields
    (`save(update_fields=...)`, `QuerySet.update`, `bulk_update`) and none of these tells nothing. A
    plain `save()` does not say what changed and is told always."""

    def __init__(self, model: type[ModelT]) -> None:
        self.model = model
        self._pk_name = model._meta.pk.attname
        self._type_start = f"{model._meta.model_name}."
        self._object_start = f"{model._meta.label_lower}:"
        self._watched = None if self.watched_fields is None else self._both_names_of_watched()

    def channels(self, instance: ModelT, action: Action) -> Sequence[str]:
        """Return the names of who is told, or none to tell nobody of this one."""
        raise NotImplementedError

    def data(self, instance: ModelT, action: Action) -> Mapping[str, Any]:
        """Return what they are told: a JSON object of at most 64 KB.

        What is deleted still has its pk.
        """
        raise NotImplementedError

    def relation_data(
        self, instance: ModelT, action: Action, pks: Collection[Any]
    ) -> Mapping[str, Any]:
        """Return what a change of a many-to-many relation adds to `data`.

        By default `{"pks": [...]}`: which were added or removed, as numbers or text, in order. Of
        more than `PKS_TOLD` it is `{"pks": null}`, and who wants to know reads them anew.

        Args:
            pks: of the objects at the other end.
        """
        if len(pks) > PKS_TOLD:
            return {"pks": None}
        told = [pk if isinstance(pk, int) else str(pk) for pk in pks]
        return {"pks": sorted(told, key=lambda pk: (isinstance(pk, str), pk))}

    def type(self, instance: ModelT, action: Action) -> str:
        """Return the event's type, `comment.created` or `comment.tags.added`."""
        return self._type_start + action

    def object(self, instance: ModelT) -> str:
        """Return the object's name, `threads.comment:17`."""
        pk = getattr(instance, self._pk_name)
        return self._object_start + (",".join(map(str, pk)) if type(pk) is tuple else str(pk))

    def key(self, instance: ModelT, action: Action) -> str:
        """Return the ordering key: events of one key stay in order.

        By default the first channel.
        """
        return ""

    def flags(self, instance: ModelT, action: Action) -> Mapping[str, bool]:
        """Return feature flags, evaluated here once; whoever handles the event later sees them."""
        return {}

    def correlation_id(self) -> str:
        """Return what the site's logs call the request at hand."""
        return ""

    def traceparent(self) -> str:
        """Return the W3C trace the request at hand belongs to."""
        return ""

    def prepare(self, instances: Sequence[ModelT], action: Action) -> None:
        """Prepare for `channels` and `data` of many instances, written by one bulk operation.

        A hook that looks at related objects loads them here for all at once, with
        `prefetch_related_objects(instances, "thread")` say, instead of one by one.
        """

    def told_by_database(self, using: str) -> bool:
        """Return whether the database `using` itself tells of rows, so that bulk writes need not.

        See `django_hooks.trigger_hook`.
        """
        return False

    def watches(self, update_fields: Collection[str] | None) -> bool:
        """Return whether an update of these fields (None: nobody knows which) is told."""
        if update_fields is None or self._watched is None:
            return True
        return not self._watched.isdisjoint(update_fields)

    def _both_names_of_watched(self) -> frozenset[str]:
        """Return `thread` and `thread_id` for either. A name that is no field, a check finds."""
        names = set(self.watched_fields or ())
        for name in tuple(names):
            try:
                field = self.model._meta.get_field(name)
            except FieldDoesNotExist:
                continue
            names |= {field.name, getattr(field, "attname", field.name)}
        return frozenset(names)


class Registry:
    """The hooks by model. What listens to a model's writes is attached from outside."""

    def __init__(self) -> None:
        self._hooks: dict[type[Model], ModelHook[Any]] = {}
        self._told: dict[type[Model], tuple[ModelHook[Any], ...]] = {}
        self._connect: Callable[[ModelHook[Any]], None] = _listen_to_nothing
        self._disconnect: Callable[[ModelHook[Any]], None] = _listen_to_nothing

    def attach(
        self,
        connect: Callable[[ModelHook[Any]], None],
        disconnect: Callable[[ModelHook[Any]], None],
    ) -> None:
        """Have a model's writes listened to while it is registered.

        Args:
            connect: called with each hook there is, and with each that is registered later.
            disconnect: called with a hook when it was unregistered.
        """
        self._connect = connect
        self._disconnect = disconnect
        for hook in self:
            connect(hook)

    def register(self, model: type[Model], hook_class: type[ModelHook[Any]]) -> None:
        """Tell of `model` as `hook_class` says.

        Raises:
            ImproperlyConfigured: the class is no hook, or the model is abstract, swapped out or
                registered already.
        """
        if not (isinstance(hook_class, type) and issubclass(hook_class, ModelHook)):
            raise ImproperlyConfigured(f"{hook_class!r} is not a hook; derive it from ModelHook")
        name = f"{hook_class.__module__}.{hook_class.__qualname__}"
        if not (isinstance(model, type) and issubclass(model, Model)):
            raise ImproperlyConfigured(f"{name}: {model!r} is not a model; register a model class")
        label = model._meta.label
        if model._meta.abstract:
            raise ImproperlyConfigured(
                f"{name}: {label} is abstract; register the models made from it"
            )
        if model._meta.swapped:
            raise ImproperlyConfigured(
                f"{name}: {label} is swapped out; register {model._meta.swapped}"
            )
        if model in self._hooks:
            first = type(self._hooks[model])
            raise ImproperlyConfigured(
                f"{label} is registered twice: by {first.__module__}.{first.__qualname__} and "
                f"{name}; keep one hook per model"
            )
        hook = hook_class(model)
        self._hooks[model] = hook
        self._told.clear()
        self._connect(hook)

    def unregister(self, model: type[Model]) -> None:
        """Tell of `model` no more.

        Raises:
            ImproperlyConfigured: it is not registered.
        """
        if model not in self._hooks:
            raise ImproperlyConfigured(f"{model._meta.label} is not registered")
        hook = self._hooks.pop(model)
        self._told.clear()
        self._disconnect(hook)

    def hook_of(self, model: type[Model]) -> ModelHook[Any] | None:
        """Return the model's own hook."""
        return self._hooks.get(model)

    def hooks_told(self, model: type[Model]) -> tuple[ModelHook[Any], ...]:
        """Return the hooks that are told of a write through `model`: its own, then its ancestors'.

        An instance of a proxy or of a child with a table of its own is an instance of its parents.
        """
        told = self._told.get(model)
        if told is None:
            told = tuple(self._hooks[cls] for cls in model.__mro__ if cls in self._hooks)
            if told:
                self._told[model] = told
        return told

    def __iter__(self) -> Iterator[ModelHook[Any]]:
        return iter(tuple(self._hooks.values()))


def _listen_to_nothing(hook: ModelHook[Any]) -> None:
    """Before the receivers are attached."""


registry = Registry()
"""The site's hooks."""


def register(
    *models: type[Model],
) -> Callable[[type[ModelHook[Any]]], type[ModelHook[Any]]]:
    """Register the decorated hook class for these models, as `admin.register` does."""

    def decorate(hook_class: type[ModelHook[Any]]) -> type[ModelHook[Any]]:
        for model in models:
            registry.register(model, hook_class)
        return hook_class

    return decorate


def models_from(model: type[Model]) -> Iterator[type[Model]]:
    """Return a model, its proxies and its children: who writes one of them writes the model."""
    if not model._meta.abstract:
        yield model
    for child in model.__subclasses__():
        yield from models_from(child)
