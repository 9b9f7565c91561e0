"""Stages that need much CPU, out of the event loop's way."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast, overload

from formatter.pipeline import Pipeline
from formatter.process_pool import current

HEAVY_SECONDS = 10.0
"""How long a stage may take when it does not say so itself."""

Stage = TypeVar("Stage", bound=Callable[..., Any])


@overload
def cpu_heavy(stage: Stage, /) -> Stage: ...
@overload
def cpu_heavy(*, seconds: float = HEAVY_SECONDS) -> Callable[[Stage], Stage]: ...


def cpu_heavy(
    stage: Stage | None = None, /, *, seconds: float = HEAVY_SECONDS
) -> Stage | Callable[[Stage], Stage]:
    """Marks a stage of a mixin to be run in another process; the event loop goes on meanwhile.

        class RenderFormulasMixin(Pipeline):
            @cpu_heavy
            def transform(self, event: Event) -> Event:
                event = super().transform(event)
                return event.with_data({**event.data, "svg": svg_of(event.data["formula"])})

    The stage runs there with all that its `super()` leads to. The mixin's module must be one that
    can be imported, and its class be found by its name there. Where the worker has set no pool,
    a test say, and within the other process, the stage runs where it is called.

    A stage that takes longer than `seconds`, or ends its process, has failed for now: a
    `TransientError`, tried again like any other.

    Args:
        seconds: how long the stage may take; keep it below the pipeline's `deadline_seconds`.
    """
    if stage is None:
        return lambda marked: _heavy(marked, seconds)
    return _heavy(stage, seconds)


def _heavy(stage: Stage, seconds: float) -> Stage:
    @wraps(stage)
    def run(self: Pipeline, *args: Any) -> Any:
        pool = current()
        if pool is None:
            return stage(self, *args)
        # `run` itself is what its module knows by the stage's name.
        return pool.call(_run_stage, type(self), run, args, seconds=seconds)

    return cast(Stage, run)


def _run_stage(pipeline: type[Pipeline], stage: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    if pipeline not in _instances:
        _instances[pipeline] = pipeline()
    return stage(_instances[pipeline], *args)


_instances: dict[type[Pipeline], Pipeline] = {}
"""In the other process: one instance serves all events, as in the worker."""
