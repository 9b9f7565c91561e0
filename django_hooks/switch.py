"""Turns the hooks off for a block."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_depth: ContextVar[int] = ContextVar("django_hooks_disabled", default=0)

disabled_depth: Callable[[], int] = _depth.get
"""How many `hooks_disabled()` blocks this code runs in; hooks are on at 0."""


class hooks_disabled(ContextDecorator):  # noqa: N801 - used as a function is
    """Record nothing within the block: `with hooks_disabled(): ...`, or decorate a function.

    It holds for this thread or this asyncio task, with what they await and call through
    `sync_to_async`, and for nobody else: other requests go on recording, and so do threads that are
    started within the block. Blocks may stand within each other.
    """

    def __enter__(self) -> None:
        _depth.set(_depth.get() + 1)

    def __exit__(self, *exception: object) -> None:
        _depth.set(_depth.get() - 1)

    def __call__(self, function: FunctionT) -> FunctionT:
        """Turn the hooks off while `function`, which may be `async`, runs."""
        if not iscoroutinefunction(function):
            return super().__call__(function)

        @wraps(function)
        async def without_hooks(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        return without_hooks  # type: ignore[return-value]
