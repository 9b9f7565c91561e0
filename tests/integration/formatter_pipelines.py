"""Pipelines that the formatter's tests run: one for each way a stage can behave."""

from __future__ import annotations

import itertools

from formatter import Pipeline, TransientError
from pushgate import Event


class FailingPipeline(Pipeline):
    """Fails for good."""

    def transform(self, event: Event) -> Event:
        raise ValueError("this comment cannot be shown")


class ShakyPipeline(Pipeline):
    """Fails twice, then succeeds."""

    def __init__(self) -> None:
        self._calls = itertools.count()

    def transform(self, event: Event) -> Event:
        if next(self._calls) < 2:
            raise TransientError("the spell checker is away")
        return event


class HopelessPipeline(Pipeline):
    """Never succeeds."""

    def transform(self, event: Event) -> Event:
        raise TransientError("the spell checker is away")


class DroppingPipeline(Pipeline):
    """Drops everything."""

    def admit(self, event: Event) -> bool:
        return False


pipelines = {
    "failing.": FailingPipeline,
    "shaky.": ShakyPipeline,
    "hopeless.": HopelessPipeline,
    "dropped.": DroppingPipeline,
}
