"""One attempt at an event: through its pipeline, within its deadline, where it can do no harm."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import gevent
from greenlet import greenlet

from formatter.errors import DeadlineExceeded
from formatter.observers import Audience, Observer
from formatter.pipeline import Pipeline
from formatter.registry import Pipelines
from pushgate import Event, Frame

SUSPECT_ATTEMPTS = 3
"""A job claimed so often without an end is suspected of ending the process that works on it. The
first death may be anything's; at the second the job was there again.
"""

TIMED_EVERY_SECONDS = 0.0005
"""How far apart the events are whose stages are timed: a quiet worker times all, a busy one
2,000 in a second, which costs it half a hundredth."""

LOOK_SECONDS = 0.25
"""How often deadlines are looked at: an attempt may take so much longer."""


class Sandbox(Protocol):
    """Where an event that may end the process is taken through its pipeline."""

    def run(self, event: Event) -> tuple[Frame, ...]:
        """As `Pipeline.run`.

        Raises:
            ProcessEnded: it did end it, did not come to an end, or made too much.
        """
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
            return self._sandbox.run(event)
        runner = gevent.getcurrent()
        now = time.monotonic()
        self._running[runner] = now + pipeline.deadline_seconds
        on_stage = None
        if self._on_stage is not None and now >= self._next_timed_at:
            on_stage = self._on_stage
            self._next_timed_at = now + TIMED_EVERY_SECONDS
        try:
            return pipeline.run(event, on_stage)
        except _OutOfTime:
            raise DeadlineExceeded(
                f"event {event.id}: its pipeline took more than {pipeline.deadline_seconds:g} s"
            ) from None
        finally:
            del self._running[runner]

    def keep_deadlines(self) -> None:
        """Ends attempts that take too long, until the greenlet it runs in is killed."""
        while True:
            gevent.sleep(LOOK_SECONDS)
            now = time.monotonic()
            for runner, ends_at in list(self._running.items()):
                if ends_at < now:
                    # From the hub, as gevent's own timeouts: there nothing can come between.
                    gevent.get_hub().loop.run_callback(self._throw, runner, ends_at)

    def _throw(self, runner: greenlet, ends_at: float) -> None:
        if self._running.get(runner) == ends_at:
            runner.throw(_OutOfTime)
