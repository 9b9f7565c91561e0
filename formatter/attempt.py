"""One attempt at an event: through its pipeline, within its deadline, where it can do no harm."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from typing import Protocol, TypeVar

import gevent
from greenlet import greenlet

from formatter.errors import DeadlineExceeded, StageExited, TransientError, reason_of
from formatter.observers import Audience, Observer
from formatter.output import checked_frames
from formatter.pipeline import Pipeline
from formatter.registry import Pipelines
from pushgate import Event, Frame

logger = logging.getLogger("formatter")

SUSPECT_ATTEMPTS = 3
"""A job claimed so often without an end is suspected of ending the process that works on it. The
first death may be anything's; at the second the job was there again.
"""

TIMED_EVERY_SECONDS = 0.0005
"""How far apart the events are whose stages are timed: a quiet worker times all, a busy one
2,000 in a second, which costs it half a hundredth."""

LOOK_SECONDS = 0.25
"""How often deadlines are looked at: an attempt may take so much longer."""

LONGEST_GATHER_SECONDS = 60.0
"""However long a pipeline would hold an event back."""

STUBBORN_SECONDS = 10.0
"""A stage that goes on for so long after its deadline, catching all that is thrown at it, can only
be ended with its process.
"""

Result = TypeVar("Result")


class Sandbox(Protocol):
    """Where an event that may end the process is taken through its pipeline."""

    def run(self, event: Event, seconds: float) -> tuple[Frame, ...]:
        """As `Pipeline.run`, which may take so many seconds.

        Raises:
            ProcessEnded: it did end it, did not come to an end, or made too much.
        """
        ...

    def gone(self, event: Event, seconds: float) -> tuple[Frame, ...]:
        """As `Pipeline.gone`; raises what `run` does."""
        ...


class _OutOfTime(BaseException):
    """Thrown into a stage; not an `Exception`, so that no stage takes it for one of its own."""


class Attempts:
    """Takes events through their pipelines.

    Args:
        pipelines: which one an event goes through.
        observers: told of what happens.
        sandbox: where suspects go; into the worker's own process when there is none.

    Attributes:
        audience: the observers.
    """

    def __init__(
        self,
        pipelines: Pipelines,
        observers: Sequence[Observer] = (),
        sandbox: Sandbox | None = None,
    ) -> None:
        self.audience = Audience(observers)
        self._pipelines = pipelines
        self._sandbox = sandbox
        self._on_stage = self.audience.stage_ended if self.audience.wants("stage_ended") else None
        self._next_timed_at = 0.0
        self._running: dict[greenlet, float] = {}

    @property
    def isolates(self) -> bool:
        """Whether suspects are worked on where they can do no harm."""
        return self._sandbox is not None

    def pipeline_of(self, event: Event) -> Pipeline:
        """The pipeline that events of this type go through."""
        return self._pipelines.for_type(event.type)

    def run(self, event: Event, pipeline: Pipeline, claims: int) -> tuple[Frame, ...]:
        """Makes the event's frames.

        Args:
            event: what to make frames of.
            pipeline: what it goes through.
            claims: how often its job was claimed, this time counted in.

        Raises:
            TransientError: another attempt may succeed; `DeadlineExceeded` is one.
            Exception: none will.
        """
        if claims >= SUSPECT_ATTEMPTS and self._sandbox is not None:
            return checked_frames(event, self._sandbox.run(event, pipeline.deadline_seconds))
        on_stage = None
        if self._on_stage is not None:
            now = time.monotonic()
            if now >= self._next_timed_at:
                on_stage = self._on_stage
                self._next_timed_at = now + TIMED_EVERY_SECONDS
        return checked_frames(event, self._call(pipeline, pipeline.run, event, on_stage))

    def gathers(self, pipeline: Pipeline) -> bool:
        """Whether any event of the pipeline waits for others."""
        return type(pipeline).gather is not Pipeline.gather

    def gather(self, event: Event, pipeline: Pipeline) -> float:
        """Asks the pipeline for how many seconds the event waits for others of its key.

        Raises:
            Exception: it does not say.
        """
        return min(float(self._call(pipeline, pipeline.gather, event)), LONGEST_GATHER_SECONDS)

    def joining(self, first: Event, later: Sequence[Event], pipeline: Pipeline) -> int:
        """Asks the pipeline how many of the events that came after the first go with it.

        Raises:
            Exception: it does not say.
        """
        return self._call(pipeline, _joining, pipeline, first, later)

    def collapse(self, events: Sequence[Event], pipeline: Pipeline) -> Event:
        """Makes one event of several.

        Raises:
            Exception: it cannot be done.
        """
        return self._call(pipeline, pipeline.collapse, events)

    def gone(self, event: Event, pipeline: Pipeline, claims: int) -> tuple[Frame, ...]:
        """Makes the frames that stand for an event given up.

        Raises:
            Exception: it cannot be done.
        """
        own = type(pipeline).gone is not Pipeline.gone
        if own and claims >= SUSPECT_ATTEMPTS and self._sandbox is not None:
            return checked_frames(event, self._sandbox.gone(event, pipeline.deadline_seconds))
        return checked_frames(event, self._call(pipeline, pipeline.gone, event))

    def keep_deadlines(self) -> None:
        """Ends attempts that take too long, until the greenlet it runs in is killed."""
        while True:
            gevent.sleep(LOOK_SECONDS)
            now = time.monotonic()
            for runner, ends_at in list(self._running.items()):
                if ends_at + STUBBORN_SECONDS < now:
                    _end_process_with(runner)
                if ends_at < now:
                    # From the hub, as gevent's own timeouts: there nothing can come between.
                    gevent.get_hub().loop.run_callback(self._throw, runner, ends_at)

    def _call(
        self, pipeline: Pipeline, function: Callable[..., Result], *arguments: object
    ) -> Result:
        """Calls a function of the pipeline, which has the pipeline's seconds for it.

        All it can raise is an `Exception`: what ends a greenlet is no end for the worker's.
        """
        runner = gevent.getcurrent()
        self._running[runner] = time.monotonic() + pipeline.deadline_seconds
        try:
            return function(*arguments)
        except Exception:
            raise
        except _OutOfTime:
            raise DeadlineExceeded(
                f"its pipeline took more than {pipeline.deadline_seconds:g} s"
            ) from None
        except gevent.Timeout as error:
            raise TransientError(f"a stage ended with {reason_of(error)}") from error
        except BaseException as error:
            raise StageExited(f"a stage ended with {reason_of(error)}") from error
        finally:
            del self._running[runner]

    def _throw(self, runner: greenlet, ends_at: float) -> None:
        if self._running.get(runner) == ends_at:
            runner.throw(_OutOfTime)


def _joining(pipeline: Pipeline, first: Event, later: Sequence[Event]) -> int:
    return sum(1 for _ in takewhile(partial(pipeline.joins, first), later))


def _end_process_with(runner: greenlet) -> None:
    """The attempt was counted: whoever claims the event next knows."""
    stack = "".join(traceback.format_stack(runner.gr_frame))
    logger.critical("a stage goes on after its deadline; the process ends. It is at\n%s", stack)
    logging.shutdown()
    os._exit(70)
