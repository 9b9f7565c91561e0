"""What became of the deliveries under each fault: the rows of the report's table.

A delivery or a finding belongs to the fault that began last before it, so the rows sum to the
totals and none is counted for two.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from loadtest.percentiles import Percentiles
from tests.faults.evidence import Kind
from tests.faults.result import FaultReport, FaultRun

GROUPS = ("processes", "crash points", "links", "data", "disk", "clock", "clients")
"""The faults' groups in the order in which they are shown; another comes after them."""

NO_FAULT = "no fault yet"

COUNTED = (Kind.LOST, Kind.TWICE, Kind.OUT_OF_ORDER, Kind.FALSE_RESET)
"""The kinds that have a column of their own."""


@dataclass(slots=True)
class Row:
    """One fault's share, or all faults' together.

    Attributes:
        runs: how often it was injected.
        mixed: so many of the runs while another fault was at work; their recovery is nobody's own.
        recoveries: in seconds, of the runs alone; `inf` for one that did not recover.
    """

    name: str
    group: str = ""
    runs: int = 0
    mixed: int = 0
    deliveries: int = 0
    found: Counter[Kind] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int, ...]:
        """How much was found of each kind in `COUNTED`, and last of all others together."""
        counted = [self.found[kind] for kind in COUNTED]
        return (*counted, self.found.total() - sum(counted))

    @property
    def recovery(self) -> Percentiles | None:
        """How long the recoveries took; None when there was none to measure."""
        return Percentiles.of(self.recoveries) if self.recoveries else None


class Attribution:
    """Says which fault a moment belongs to.

    Args:
        faults: of one run, in any order.
    """

    def __init__(self, faults: Iterable[FaultRun]) -> None:
        self._faults = sorted(faults, key=lambda fault: fault.began_at)
        self._begins = [fault.began_at for fault in self._faults]

    def fault_at(self, moment: float) -> FaultRun | None:
        """Return the fault that began last before the moment, or at it."""
        place = bisect_right(self._begins, moment)
        return self._faults[place - 1] if place else None


def effective(report: FaultReport) -> list[FaultRun]:
    """Return the faults of which something came."""
    return [fault for fault in report.faults if fault.took_effect]


def injections_of(report: FaultReport) -> int:
    """Return how many injections there were of which something came, a mixture being one."""
    return len({fault.injection or id(fault) for fault in effective(report)})


def rows_of(report: FaultReport) -> list[Row]:
    """Return a row for each fault, by group and name, the first for the time before any fault."""
    before = Row(NO_FAULT)
    rows: dict[str, Row] = {}
    for fault in effective(report):
        row = rows.setdefault(fault.name, Row(fault.name, fault.group))
        row.runs += 1
        if fault.alone:
            seconds = fault.recovery_seconds
            row.recoveries.append(inf if seconds is None else seconds)
        else:
            row.mixed += 1
    attribution = Attribution(effective(report))

    def row_at(moment: float) -> Row:
        fault = attribution.fault_at(moment)
        return rows[fault.name] if fault else before

    for second, frames in report.delivered.items():
        row_at(second).deliveries += frames
    for finding in report.verdict.findings:
        row_at(finding.at).found[finding.kind] += 1
    # Beyond so many of a kind nobody knows the times; the totals are right all the same.
    before.found += report.verdict.unlisted
    return [before, *sorted(rows.values(), key=lambda row: (group_place(row.group), row.name))]


def total_of(rows: Iterable[Row]) -> Row:
    """Return what the rows sum to."""
    total = Row("all")
    for row in rows:
        total.runs += row.runs
        total.mixed += row.mixed
        total.deliveries += row.deliveries
        total.found += row.found
        total.recoveries += row.recoveries
    return total


@dataclass(frozen=True, slots=True)
class Target:
    """How soon one part's work goes on after its faults, beside what it is to be.

    Attributes:
        part: as the faults' names have it: `formatter`, `gateway`.
        seconds: what the 99th percentile is to be below.
    """

    part: str
    seconds: float
    recovery: Percentiles

    @property
    def is_met(self) -> bool:
        """Whether it is."""
        return self.recovery.p99 <= self.seconds


def targets_of(report: FaultReport) -> list[Target]:
    """Return each part for whose recovery there is a target, by name."""
    found: dict[tuple[str, float], list[float]] = {}
    for fault in effective(report):
        if fault.alone and fault.target_seconds is not None:
            part = fault.name.removeprefix("crash ").split(":")[0].split(".")[0].lower()
            seconds = fault.recovery_seconds
            recoveries = found.setdefault((part, fault.target_seconds), [])
            recoveries.append(inf if seconds is None else seconds)
    return [
        Target(part, seconds, Percentiles.of(recoveries))
        for (part, seconds), recoveries in sorted(found.items())
    ]


def group_place(group: str) -> int:
    """Return where a group stands among the others."""
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def groups_of(faults: Sequence[FaultRun]) -> list[str]:
    """Return the groups that were at work, in their order."""
    return sorted({fault.group for fault in faults}, key=lambda name: (group_place(name), name))
