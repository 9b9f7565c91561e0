"""What a worker did, counted for Prometheus.

The worker calls an observer several times for each of tens of thousands of jobs a second, so
`Metrics` counts in plain numbers and dicts; they become metrics when somebody asks for them, every
few seconds. One event loop, one thread: nothing needs a lock.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from formatter.observers import Observer
from pushgate import Event

PREFIX = "pushgate_formatter_"

MOST_TYPES = 100
"""Event types counted by their name; what comes after them is counted as `OTHER`."""

STALE_SECONDS = 60.0
"""A publisher's lag is told so long after it was heard of: later it runs in another process."""

OTHER = "other"
UNREADABLE = "(unreadable)"
"""The type of a job that holds no event; no event's type is written so."""

LAG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
STAGE_SECONDS = (0.00001, 0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
BATCH_JOBS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Histogram:
    """Values, counted by the first bound that none of them is above.

    Attributes:
        bounds: upper ones, rising; what is above the last has a bucket of its own.
        counts: how many values each bucket has; one more than there are bounds.
        total: all values added up.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Bound and number of the values up to it, as Prometheus wants them."""
        running = 0
        found: list[tuple[str, float]] = []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            running += count
            found.append(("+Inf" if bound == float("inf") else repr(float(bound)), running))
        return found


class Metrics(Observer):
    """Counts what a worker tells its observers.

    Args:
        most_types: how many event types are counted by name.
    """

    def __init__(self, most_types: int = MOST_TYPES) -> None:
        self._most_types = most_types
        self._jobs: dict[str, defaultdict[str, int]] = {}
        self._retries: defaultdict[str, int] = defaultdict(int)
        self._stages: dict[str, Histogram] = {}
        self._batches = Histogram(BATCH_JOBS)
        self._lag = Histogram(LAG_SECONDS)
        self._lease_moves = {"taken": 0, "lost": 0, "released": 0}
        self._claimed = 0
        self._refused = 0
        self._sent: defaultdict[str, int] = defaultdict(int)
        self._failed: defaultdict[str, int] = defaultdict(int)
        self._given_up: defaultdict[str, int] = defaultdict(int)
        self._publisher_lag: dict[str, tuple[float, float]] = {}

    def claimed(self, partition: str, jobs: int) -> None:
        """See `Observer`."""
        self._claimed += jobs

    def stage_ended(self, event: Event, stage: str, seconds: float) -> None:
        """See `Observer`. There are as many stages as a pipeline has."""
        histogram = self._stages.get(stage)
        if histogram is None:
            histogram = self._stages[stage] = Histogram(STAGE_SECONDS)
        histogram.counts[bisect_left(STAGE_SECONDS, seconds)] += 1
        histogram.total += seconds

    def retried(self, event: Event, attempts: int, error: Exception) -> None:
        """See `Observer`."""
        self._retries[self._known(event.type)] += 1

    def ended(
        self, event: Event | None, outcome: str, attempts: int, seconds_since_event: float
    ) -> None:
        """See `Observer`. The lag of clocks that differ counts as none."""
        name = UNREADABLE if event is None else event.type
        by_outcome = self._jobs.get(name)
        if by_outcome is None:
            by_outcome = self._jobs.setdefault(self._known(name), defaultdict(int))
        by_outcome[outcome] += 1
        if event is not None:
            lag = self._lag
            lag.counts[bisect_left(LAG_SECONDS, seconds_since_event)] += 1
            if seconds_since_event > 0:
                lag.total += seconds_since_event

    def finished(self, partition: str, jobs: int) -> None:
        """See `Observer`."""
        self._batches.observe(jobs)

    def lease_taken(self, name: str) -> None:
        """See `Observer`."""
        self._lease_moves["taken"] += 1

    def lease_lost(self, name: str) -> None:
        """See `Observer`."""
        self._lease_moves["lost"] += 1

    def lease_released(self, name: str) -> None:
        """See `Observer`."""
        self._lease_moves["released"] += 1

    def refused(self, name: str) -> None:
        """See `Observer`."""
        self._refused += 1

    def sent(self, publisher: str, items: int, seconds: float) -> None:
        """See `Observer`."""
        self._sent[publisher] += items

    def failed(self, publisher: str, error: Exception) -> None:
        """See `Observer`."""
        self._failed[publisher] += 1

    def dead(self, publisher: str, items: int) -> None:
        """See `Observer`."""
        self._given_up[publisher] += items

    def lag(self, publisher: str, seconds: float) -> None:
        """See `Observer`."""
        self._publisher_lag[publisher] = (seconds, time.monotonic())

    def _known(self, event_type: str) -> str:
        """The name a type is counted by: no site's data may fill a Prometheus with series."""
        known = event_type in self._jobs or len(self._jobs) < self._most_types
        if known or event_type == UNREADABLE:
            self._jobs.setdefault(event_type, defaultdict(int))
            return event_type
        return OTHER

    def collect(self) -> Iterator[Metric]:
        """Everything counted so far."""
        jobs = CounterMetricFamily(
            PREFIX + "jobs", "Jobs ended, by what became of them.", labels=("type", "outcome")
        )
        for event_type, by_outcome in self._jobs.items():
            for outcome, count in by_outcome.items():
                jobs.add_metric((event_type, str(outcome)), count)
        yield jobs
        yield _counter(
            "retries", "Attempts that failed and were tried again.", "type", self._retries
        )
        yield _counter("claimed_jobs", "Jobs claimed, again ones included.", None, self._claimed)
        stages = HistogramMetricFamily(
            PREFIX + "stage_seconds", "How long a stage took for one event.", labels=("stage",)
        )
        for stage, histogram in self._stages.items():
            stages.add_metric((stage,), histogram.buckets(), histogram.total)
        yield stages
        yield _histogram("batch_jobs", "Jobs that went out in one write.", self._batches)
        yield _histogram("lag_seconds", "From an event's time to the end of its job.", self._lag)
        yield _counter("lease_moves", "Leases taken, lost and released.", "kind", self._lease_moves)
        yield _counter(
            "refused_writes", "Writes refused: the lease was somebody else's.", None, self._refused
        )

        yield from self._of_publishers()

    def _of_publishers(self) -> Iterator[Metric]:
        for name, says, values in (
            ("publisher_items_sent", "Items a publisher's consumer took.", self._sent),
            ("publisher_sendings_failed", "Sendings that failed.", self._failed),
            ("publisher_items_dead", "Items a publisher gave up.", self._given_up),
        ):
            yield _counter(name, says, "publisher", values)
        lags = GaugeMetricFamily(
            PREFIX + "publisher_lag_seconds",
            "Age of the oldest frame a publisher has not done with.",
            labels=("publisher",),
        )
        now = time.monotonic()
        for publisher, (seconds, told_at) in self._publisher_lag.items():
            if now - told_at < STALE_SECONDS:
                lags.add_metric((publisher,), seconds)
        yield lags


def _counter(
    name: str, says: str, label: str | None, values: Mapping[str, int] | int
) -> CounterMetricFamily:
    if isinstance(values, int):
        return CounterMetricFamily(PREFIX + name, says, value=values)
    family = CounterMetricFamily(PREFIX + name, says, labels=(label or "",))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family


def _histogram(name: str, says: str, histogram: Histogram) -> HistogramMetricFamily:
    return HistogramMetricFamily(
        PREFIX + name, says, buckets=histogram.buckets(), sum_value=histogram.total
    )


class Holder(Protocol):
    """What a worker says of itself when it is asked; `formatter.worker.Worker` does."""

    @property
    def jobs_in_flight(self) -> int:
        """Jobs claimed and not finished."""
        ...

    @property
    def partitions(self) -> set[str]:
        """The names of the partitions held."""
        ...


class _Collected(Collector):
    """What a registry asks."""

    def __init__(self, metrics: Metrics, holder: Holder) -> None:
        self._metrics = metrics
        self._holder = holder

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics.collect()
        yield GaugeMetricFamily(
            PREFIX + "jobs_in_flight",
            "Jobs claimed and not finished.",
            self._holder.jobs_in_flight,
        )
        yield GaugeMetricFamily(
            PREFIX + "partitions_held",
            "Partitions this process holds.",
            len(self._holder.partitions),
        )


def registry_of(metrics: Metrics, holder: Holder) -> CollectorRegistry:
    """A registry with a worker's metrics, and what the process itself uses."""
    registry = CollectorRegistry()
    registry.register(_Collected(metrics, holder))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
