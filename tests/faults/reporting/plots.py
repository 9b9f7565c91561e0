"""The report's plots as geometry: what the template draws, in shares of a plot's width and height.

An hour has more seconds than a screen has dots: seconds are put together, and each such slice keeps
its lowest and its highest, so that a thinned plot hides no dip and no peak.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, log10

from loadtest.percentiles import Percentiles, nearest_rank
from tests.faults.reporting.tally import Row, groups_of
from tests.faults.reporting.wording import clock, number, seconds
from tests.faults.result import FaultReport, FaultRun

WIDTH, HEIGHT = 1000, 100
"""The drawing's units; the page stretches them."""

SLICES = 600
DOTS_IN_A_ROW = 80
NAMES_IN_A_READING = 3
SHORTEST_BAND = 1.2
SHORTEST_SPAN = 0.01
"""Times below 10 ms are drawn as 10 ms."""

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis, at so many per cent of it."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Band:
    """A fault's time: from its beginning until all worked again."""

    x: float
    width: float
    group: str
    title: str
    back: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot over time.

    Attributes:
        area: from each slice's lowest to its highest, as an SVG path.
        line: each slice's middle value.
        readings: what the page shows of each slice under the pointer.
    """

    title: str
    explanation: str
    area: str
    line: str
    ticks: list[Tick]
    readings: list[str]


@dataclass(frozen=True, slots=True)
class Strip:
    """One fault's recoveries on a logarithmic axis; places in per cent of its width."""

    row: Row
    dots: list[Tick]
    p50: Tick
    p99: Tick


@dataclass(frozen=True, slots=True)
class Slice:
    """Seconds that are drawn as one; a slice in which nothing was measured is None instead."""

    low: float
    middle: float
    high: float


class Timeline:
    """The axis that all plots over time share.

    Args:
        report: the run; the axis reaches from the load's beginning to the last that was counted.
    """

    def __init__(self, report: FaultReport) -> None:
        self.began_at = report.began_at
        counted = (report.written, report.delivered, report.open_streams)
        last = max((second + 1 for part in counted for second in part), default=0.0)
        self.span = max(1.0, report.seconds, last - report.began_at)
        self.slice_seconds = ceil(self.span / SLICES)
        self.slices = ceil(self.span / self.slice_seconds)

    def x(self, moment: float) -> float:
        """Return where a moment is drawn."""
        share = (moment - self.began_at) / self.span
        return round(WIDTH * min(1.0, max(0.0, share)), 2)

    def slice_of(self, moment: float) -> int:
        """Return which slice a moment lies in; one before or after the axis in the nearest."""
        place = floor((moment - self.began_at) / self.slice_seconds)
        return min(self.slices - 1, max(0, place))

    def middle_of(self, place: int) -> float:
        """Return where a slice's middle is drawn."""
        return self.x(self.began_at + (place + 0.5) * self.slice_seconds)

    def ticks(self) -> list[Tick]:
        """Return the axis' marks: at most nine, at round times."""
        days = ceil(self.span / 8 / 86400) * 86400
        step = next((step for step in _STEPS if self.span / step <= 8), days)
        marks = range(0, int(self.span) + 1, step)
        return [Tick(round(100 * mark / self.span, 2), clock(mark)) for mark in marks]


def bands(timeline: Timeline, report: FaultReport) -> dict[str, list[Band]]:
    """Return the faults' bands by group, in the groups' order."""
    found: dict[str, list[Band]] = {group: [] for group in groups_of(report.faults)}
    for fault in report.faults:
        x = timeline.x(fault.began_at)
        width = round(max(SHORTEST_BAND, timeline.x(healed_at(fault, report)) - x), 2)
        back = fault.recovered_at is not None
        found[fault.group].append(Band(x, width, fault.group, title_of(fault, report), back))
    return found


def healed_at(fault: FaultRun, report: FaultReport) -> float:
    """Return when a fault's effect was over; where it never was, when one stopped to wait."""
    if fault.recovered_at is None:
        return fault.ended_at + report.bound_seconds
    return max(fault.ended_at, fault.recovered_at)


def title_of(fault: FaultRun, report: FaultReport) -> str:
    """Return one line that tells a fault's whole story."""
    parts = [f"{clock(fault.began_at - report.began_at)} {fault.name}"]
    if fault.ended_at > fault.began_at:
        parts.append(f"lasted {seconds(fault.ended_at - fault.began_at)}")
    took = fault.recovery_seconds
    parts.append("not back within the bound" if took is None else f"back after {seconds(took)}")
    if not fault.alone:
        parts.append("in a mixture")
    if fault.note:
        parts.append(fault.note)
    return " · ".join(parts)


def panels(timeline: Timeline, report: FaultReport) -> list[Panel]:
    """Return the plots over time."""
    return [
        _counts(timeline, report.written, "Events committed", "a second", "events/s"),
        _counts(
            timeline, report.delivered, "Frames delivered", "a second, to all readers", "frames/s"
        ),
        _lags(timeline, report),
        _counts(timeline, report.open_streams, "Open streams", "readers connected", "streams"),
    ]


def _counts(
    timeline: Timeline, per_second: Mapping[int, int], title: str, explanation: str, unit: str
) -> Panel:
    first = ceil(timeline.began_at)
    values: dict[int, list[int]] = defaultdict(list)
    for second in range(first, max(first + 1, floor(timeline.began_at + timeline.span))):
        values[timeline.slice_of(second)].append(per_second.get(second, 0))
    slices: list[Slice | None] = [None] * timeline.slices
    for place, some in values.items():
        slices[place] = Slice(min(some), sum(some) / len(some), max(some))
    top, step = round_axis(max((part.high for part in slices if part), default=0.0))

    def y(value: float) -> float:
        return HEIGHT * (1 - value / top)

    marks = [step * place for place in range(1, round(top / step) + 1)]
    ticks = [Tick(y(mark), number(round(mark))) for mark in marks]
    readings = [f"{number(round(part.middle))} {unit}" if part else "" for part in slices]
    return Panel(title, explanation, *_paths(timeline, slices, y), ticks, readings)


def _lags(timeline: Timeline, report: FaultReport) -> Panel:
    values: dict[int, list[float]] = defaultdict(list)
    for lag in report.lags:
        values[timeline.slice_of(lag.at)].append(max(SHORTEST_SPAN, lag.seconds))
    slices: list[Slice | None] = [None] * timeline.slices
    for place, some in values.items():
        ordered = sorted(some)
        slices[place] = Slice(ordered[0], nearest_rank(ordered, 0.5), ordered[-1])
    axis = LogAxis(part.high for part in slices if part)

    def y(value: float) -> float:
        return HEIGHT * (1 - axis.share(value))

    ticks = [Tick(HEIGHT - tick.at, tick.label) for tick in axis.ticks()[1:]]
    readings = [f"lag up to {seconds(part.high)}" if part else "" for part in slices]
    found = Percentiles.of(lag.seconds for lag in report.lags)
    explanation = "from the API's answer to the last watching page"
    if found.count:
        figures = (("p50", found.p50), ("p99", found.p99), ("longest", found.max))
        explanation += ": " + ", ".join(f"{name} {seconds(value)}" for name, value in figures)
    return Panel("Lag", explanation, *_paths(timeline, slices, y), ticks, readings)


def _paths(
    timeline: Timeline, slices: Sequence[Slice | None], y: Callable[[float], float]
) -> tuple[str, str]:
    """Return the paths of area and line; both are interrupted where nothing was measured."""
    area, line, begun = [], [], False
    half = WIDTH * timeline.slice_seconds / timeline.span / 2
    for place, part in enumerate(slices):
        if part is None:
            begun = False
            continue
        x = timeline.middle_of(place)
        left, right = max(0.0, x - half), min(float(WIDTH), x + half)
        area.append(f"M{left:.1f} {y(part.low):.1f}H{right:.1f}V{y(part.high):.1f}H{left:.1f}Z")
        line.append(f"{'L' if begun else 'M'}{left:.1f} {y(part.middle):.1f}H{right:.1f}")
        begun = True
    return "".join(area), "".join(line)


class LogAxis:
    """A logarithmic axis of time spans, from 10 ms to the decade that holds the longest."""

    def __init__(self, values: Iterable[float]) -> None:
        longest = max((value for value in values if value < inf), default=1.0)
        self._low = round(log10(SHORTEST_SPAN))
        self._high = max(self._low + 1, ceil(log10(max(longest, SHORTEST_SPAN)) - 1e-9))

    def share(self, value: float) -> float:
        """Return where a value stands, from 0 to 1; what never ended stands at the end."""
        if value == inf:
            return 1.0
        place = log10(max(value, SHORTEST_SPAN)) - self._low
        return min(1.0, place / (self._high - self._low))

    def ticks(self) -> list[Tick]:
        """Return a mark for each decade, in per cent."""
        decades = range(self._low, self._high + 1)
        labels = (
            (decade, f"{10**decade:g} s" if decade >= 0 else f"{10 ** (decade + 3)} ms")
            for decade in decades
        )
        return [Tick(round(100 * self.share(10.0**decade), 2), label) for decade, label in labels]


def strips(rows: Sequence[Row]) -> tuple[list[Strip], list[Tick]]:
    """Return each fault's recoveries, and the axis that they share."""
    axis = LogAxis(value for row in rows for value in row.recoveries)

    def tick(value: float) -> Tick:
        return Tick(round(100 * axis.share(value), 2), seconds(value))

    found = []
    for row in rows:
        recovery = row.recovery
        if recovery is not None:
            dots = [tick(value) for value in thinned(sorted(row.recoveries), DOTS_IN_A_ROW)]
            found.append(Strip(row, dots, tick(recovery.p50), tick(recovery.p99)))
    return found, axis.ticks()


def thinned(ordered: Sequence[float], most: int) -> list[float]:
    """Return at most so many of the values, evenly by rank, with the lowest and the highest."""
    if len(ordered) <= most:
        return list(ordered)
    last = len(ordered) - 1
    return [ordered[round(place * last / (most - 1))] for place in range(most)]


def round_axis(highest: float) -> tuple[float, float]:
    """Return a round value at or above the highest, and the step of two to five marks up to it."""
    highest = max(highest, 1.0)
    unit = 10 ** floor(log10(highest))
    nices = (0.2, 0.5, 1.0, 2.0)
    step = next(nice * unit for nice in nices if ceil(highest / (nice * unit) - 1e-9) <= 5)
    step = max(step, 1.0)
    return step * ceil(highest / step - 1e-9), step


def fault_of_each_slice(timeline: Timeline, report: FaultReport) -> list[str]:
    """Return for each slice the faults at work or healing in it, by name."""
    names: list[list[str]] = [[] for _ in range(timeline.slices)]
    for fault in sorted(report.faults, key=lambda fault: fault.began_at):
        first, last = fault.began_at, healed_at(fault, report)
        for place in range(timeline.slice_of(first), timeline.slice_of(last) + 1):
            if len(names[place]) < NAMES_IN_A_READING and fault.name not in names[place]:
                names[place].append(fault.name)
    return [" + ".join(some) for some in names]
