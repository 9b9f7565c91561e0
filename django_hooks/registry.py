"""Which models are told of, and how: one hook class per model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model

Action = Literal["created", "updated", "deleted"]
ACTIONS: tuple[Action, ...] = ("created", "updated", "deleted")

ModelT = TypeVar("ModelT", bound=Model)


class ModelHook(Generic[ModelT]):
    """Says what is told when an instance of a model is created, updated or deleted.

    A subclass defines `channels` and `data`; the rest has defaults. The methods run within the
    save or delete, before it commits. What they raise, and an event of theirs that is not valid,
    undoes it.
    """

    actions: ClassVar[Sequence[Action]] = ACTIONS
    """Of what is told at all."""

    def __init__(self, model: type[ModelT]) -> None:
        self.model = model

    def channels(self, instance: ModelT, action: Action) -> Sequence[str]:
        """Return the names of who is told, or none to tell nobody of this one."""
        raise NotImplementedError

    def data(self, instance: ModelT, action: Action) -> Mapping[str, Any]:
        """Return what they are told: a JSON object of at most 64 KB.

        What is deleted still has its pk.
        """
        raise NotImplementedError

    def type(self, instance: ModelT, action: Action) -> str:
        """Return the event's type, `comment.created`."""
        return f"{self.model._meta.model_name}.{action}"

    def object(self, instance: ModelT) -> str:
        """Return the object's name, `threads.comment:17`."""
        return f"{self.model._meta.label_lower}:{instance.pk}"

    def key(self, instance: ModelT, action: Action) -> str:
        """Return the ordering key: events of one key stay in order.

        By default the first channel.
        """
        return ""


class Registry:
    """The hooks by model, and the switch between a model's signals and its hook.

    Args:
        connect: called with a hook when it is registered.
        disconnect: called with a hook when it is unregistered.
    """

    def __init__(
        self,
        connect: Callable[[ModelHook[Any]], None],
        disconnect: Callable[[ModelHook[Any]], None],
    ) -> None:
        self._hooks: dict[type[Model], ModelHook[Any]] = {}
        self._connect = connect
        self._disconnect = disconnect

    def register(self, model: type[Model], hook_class: type[ModelHook[Any]]) -> None:
        """Tell of `model` as `hook_class` says.

        Raises:
            ImproperlyConfigured: the model is abstract, or is registered already.
        """
        label = model._meta.label
        if model._meta.abstract:
            raise ImproperlyConfigured(
                f"{hook_class.__qualname__}: {label} is abstract; register the models made from it"
            )
        if model in self._hooks:
            first = type(self._hooks[model])
            raise ImproperlyConfigured(
                f"{label} is registered twice: by {first.__module__}.{first.__qualname__} and "
                f"{hook_class.__module__}.{hook_class.__qualname__}; keep one hook per model"
            )
        hook = hook_class(model)
        self._connect(hook)
        self._hooks[model] = hook

    def unregister(self, model: type[Model]) -> None:
        """Tell of `model` no more.

        Raises:
            ImproperlyConfigured: it is not registered.
        """
        if model not in self._hooks:
            raise ImproperlyConfigured(f"{model._meta.label} is not registered")
        self._disconnect(self._hooks.pop(model))

    def hook_of(self, model: type[Model]) -> ModelHook[Any] | None:
        """Return the model's hook."""
        return self._hooks.get(model)

    def __iter__(self) -> Iterator[ModelHook[Any]]:
        return iter(tuple(self._hooks.values()))


def register(
    *models: type[Model],
) -> Callable[[type[ModelHook[Any]]], type[ModelHook[Any]]]:
    """Register the decorated hook class for these models, as `admin.register` does."""
    from django_hooks.receivers import registry

    def decorate(hook_class: type[ModelHook[Any]]) -> type[ModelHook[Any]]:
        for model in models:
            registry.register(model, hook_class)
        return hook_class

    return decorate
