"""Pipelines that the formatter's tests run: one for each way a stage can behave."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Sequence

from formatter import Pipeline, TransientError
from formatter.mixins import DropOldMixin
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


class BurstPipeline(Pipeline):
    """Lets each first of a key pass and has the others wait for each other."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def gather(self, event: Event) -> float:
        if event.key in self._seen:
            return 0.3
        self._seen.add(event.key)
        return 0

    def collapse(self, events: Sequence[Event]) -> Event:
        return events[-1].with_data({"number": -len(events)})


class NoCollapsePipeline(BurstPipeline):
    """Gathers, and then cannot make one of many."""

    def collapse(self, events: Sequence[Event]) -> Event:
        raise ValueError("these comments cannot be counted")


class EndlessWaitPipeline(Pipeline):
    """Waits for an answer that never comes."""

    deadline_seconds = 0.2

    def enrich(self, event: Event) -> Event:
        time.sleep(3600)
        return event


class SlowPipeline(Pipeline):
    """Takes its time."""

    def enrich(self, event: Event) -> Event:
        time.sleep(0.2)
        return event


class FloodPipeline(Pipeline):
    """Makes far too much of an event."""

    def transform(self, event: Event) -> Event:
        return event.with_data({"html": "x" * 100_000_000})


class TypingPipeline(DropOldMixin, Pipeline):
    """Says who is typing now."""

    longest_age_seconds = 10


class SpeakingPipeline(Pipeline):
    """Logs what users say, as a site may."""

    def transform(self, event: Event) -> Event:
        logging.getLogger("mysite.pipelines").info("they say %s", event.data["text"])
        return event


pipelines = {
    "typing.": TypingPipeline,
    "speaking.": SpeakingPipeline,
    "burst.": BurstPipeline,
    "no_collapse.": NoCollapsePipeline,
    "endless_wait.": EndlessWaitPipeline,
    "slow.": SlowPipeline,
    "flood.": FloodPipeline,
    "failing.": FailingPipeline,
    "shaky.": ShakyPipeline,
    "hopeless.": HopelessPipeline,
    "dropped.": DroppingPipeline,
}
