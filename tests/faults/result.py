"""What a fault run says at its end; the report is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.faults.evidence import Verdict


@dataclass(slots=True)
class FaultRun:
    """One fault that was injected.

    Attributes:
        name: `formatter: kill -9`.
        group: `processes`, `crash points`, `links`, `data`, `disk`, `clock` or `clients`.
        alone: nothing else was wrong meanwhile, so its recovery is its own.
        began_at: monotonic clock.
        ended_at: when the fault itself was over, from which recovery counts (of a kill: at once).
        recovered_at: when comments written after `ended_at` had gone all the way to all watching
            pages; None when they did not within the bound.
        note: what happened, if anything remarkable did.
        injection: which it was of the run's injections; those of a mixture are one.
        took_effect: False when it could not be done, or nothing came of it: it counts nowhere.
        target_seconds: what the 99th percentile of such recoveries is to be below; None for none.
    """

    name: str
    group: str
    alone: bool
    began_at: float
    ended_at: float
    recovered_at: float | None = None
    note: str = ""
    target_seconds: float | None = None
    injection: int = 0
    took_effect: bool = True

    @property
    def recovery_seconds(self) -> float | None:
        """How long it took; None when it did not."""
        return None if self.recovered_at is None else max(0.0, self.recovered_at - self.ended_at)


@dataclass(slots=True)
class Lag:
    """How long one event took from the API's answer to the last watching page."""

    at: float
    seconds: float


@dataclass(slots=True)
class FaultReport:
    """One run of `make faults`.

    Attributes:
        started: wall clock, RFC 3339.
        began_at: monotonic clock of the load's beginning; all times are shown from here.
        planned_seconds: for how long faults were to be injected.
        machine: one line: cores, memory, kernel, versions.
        load: one line: writers, readers, threads.
        bound_seconds: recovery longer than that is a finding.
        written: whole second of the monotonic clock -> events committed in it.
        delivered: the same of frames delivered.
        open_streams: the same of readers with an open stream.
    """

    seed: int
    started: str
    began_at: float
    seconds: float
    machine: str
    load: str
    bound_seconds: float
    verdict: Verdict
    planned_seconds: float = 0.0
    faults: list[FaultRun] = field(default_factory=list)
    lags: list[Lag] = field(default_factory=list)
    written: dict[int, int] = field(default_factory=dict)
    delivered: dict[int, int] = field(default_factory=dict)
    open_streams: dict[int, int] = field(default_factory=dict)
