"""Where events go that may have killed workers: a process in which they harm nobody else."""

from __future__ import annotations

import resource
from collections.abc import Callable
from functools import cache, partial
from math import ceil

from formatter.errors import DeadlineExceeded, ProcessDied, ProcessEnded, ResultTooLarge
from formatter.process_pool import ProcessPool
from formatter.registry import Pipelines, load_pipelines
from pushgate import Event, Frame

SANDBOX_CPU_SECONDS = 10
"""What waits in a sandbox harms nobody, and has its pipeline's deadline; what computes is ended."""
MARGIN_SECONDS = 1.0
"""For the way there and back."""
SANDBOX_MEMORY_BYTES = 2 * 1024**3


class Sandbox:
    """Runs whole events through their pipelines in other processes.

    A segmentation fault, an endless loop, a hunger for memory, `os._exit` or 100 MB of output end
    that process at most; the caller gets an exception.

    Args:
        pipelines_module: what the worker was given with `--pipelines`.
        cpu_seconds: how long an event may compute.
        memory_bytes: how much address space a process may have.
        size: how many suspects may be looked at side by side.
        prepare: called first in each process; it is pickled.
    """

    def __init__(
        self,
        pipelines_module: str,
        cpu_seconds: int = SANDBOX_CPU_SECONDS,
        memory_bytes: int = SANDBOX_MEMORY_BYTES,
        size: int = 2,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        self._module = pipelines_module
        self._cpu_seconds = cpu_seconds
        self._pool = ProcessPool(
            size,
            name="sandbox",
            memory_bytes=memory_bytes,
            prepare=partial(_prepare, pipelines_module, prepare),
        )

    def run(self, event: Event, seconds: float) -> tuple[Frame, ...]:
        """Takes an event through all stages of its pipeline; waits for a free process before.

        Args:
            event: what to make frames of.
            seconds: how long its stages may take; as long as they may compute, at least.

        Raises:
            Exception: what a stage raised.
            ProcessEnded: the event ended its process, did not come to an end in time, or made too
                much.
        """
        return self._call(_run_pipeline, event, seconds)

    def gone(self, event: Event, seconds: float) -> tuple[Frame, ...]:
        """Makes the frames that stand for an event given up; raises what `run` does."""
        return self._call(_make_gone, event, seconds)

    def close(self) -> None:
        """Kills the processes, whatever they do."""
        self._pool.close()

    def _call(
        self, function: Callable[[str, Event], tuple[Frame, ...]], event: Event, seconds: float
    ) -> tuple[Frame, ...]:
        longest = max(seconds, self._cpu_seconds) + MARGIN_SECONDS
        try:
            return self._pool.call(
                _within, self._cpu_seconds, function, self._module, event, seconds=longest
            )
        except (DeadlineExceeded, ProcessDied, ResultTooLarge) as error:
            raise ProcessEnded(str(error)) from error


def _prepare(module: str, prepare: Callable[[], object] | None) -> None:
    if prepare is not None:
        prepare()
    _pipelines(module)


def _within(
    cpu_seconds: int,
    function: Callable[[str, Event], tuple[Frame, ...]],
    module: str,
    event: Event,
) -> tuple[Frame, ...]:
    """Calls the function; the kernel ends this process if it computes longer than that."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = ceil(used.ru_utime + used.ru_stime) + cpu_seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))
    return function(module, event)


def _run_pipeline(module: str, event: Event) -> tuple[Frame, ...]:
    return _pipelines(module).for_type(event.type).run(event)


def _make_gone(module: str, event: Event) -> tuple[Frame, ...]:
    return _pipelines(module).for_type(event.type).gone(event)


@cache
def _pipelines(module: str) -> Pipelines:
    return load_pipelines(module)
