"""How a fault run is put into words: for the page, the terminal and RELIABILITY.md alike."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, inf

from tests.faults.evidence import Kind
from tests.faults.reporting.tally import COUNTED, Row, Target, effective, injections_of
from tests.faults.result import FaultReport

COLUMNS = (
    "fault",
    "runs",
    "in mixtures",
    "deliveries checked",
    *(kind.value for kind in COUNTED),
    "other findings",
    "recovery p50",
    "recovery p99",
)
TARGET_COLUMNS = ("part", "target p99", "faults alone", "p50", "p99", "longest", "target")
NONE = "–"
RULE_OF_THREE = 3
SMALL_SHARE = 100_000
"""From so many trials on, 3/N is easier to read as one in so many."""


def number(value: int) -> str:
    """Return a whole number for people: `12,345`."""
    return f"{value:,}"


def counted(value: int, one: str, many: str = "") -> str:
    """Return `1 fault` or `1,000 faults`."""
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def seconds(value: float) -> str:
    """Return a time span with about three digits; of an infinite one, that it did not end."""
    if value == inf:
        return "never"
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    return (
        f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s" if value < 99.95 else clock(value)
    )


def clock(value: float) -> str:
    """Return a moment of the run: `4:05`, `1:00:00`."""
    if value == inf:
        return "the end"
    sign, whole = ("-" if value < 0 else ""), int(abs(value))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return sign + (f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}")


def verdict_sentence(report: FaultReport) -> str:
    """Return in one sentence what the run shows."""
    verdict = report.verdict
    through = f"through {counted(len(effective(report)), 'fault')}"
    checked = counted(verdict.deliveries, "delivery", "deliveries")
    if verdict.findings:
        kinds = [
            f"{number(verdict.count(kind))} {kind.value}" for kind in Kind if verdict.count(kind)
        ]
        return f"Not clean: {', '.join(kinds)}, in {checked} {through}."
    if not verdict.deliveries:
        return f"Nothing was shown: no delivery was checked, {through}."
    return (
        f"Nothing lost, nothing twice, nothing out of order, no false reset: {checked} {through}."
    )


def bound_sentence(report: FaultReport) -> str:
    """Return what the run lets one say of what it did not see: at the next fault, the next frame.

    What was not seen once in N independent trials has, with 95 % confidence, a chance below 3/N.
    """
    unseen = [kind.value for kind in COUNTED if not report.verdict.count(kind)]
    faults, deliveries = injections_of(report), report.verdict.deliveries
    if not unseen or not faults or not deliveries:
        return "Nothing can be said of what was not seen: each kind was, or nothing was tried."
    names = " or ".join((", ".join(unseen[:-1]), unseen[-1])) if unseen[1:] else unseen[0]
    return (
        f"{names.capitalize()}: not once, so with 95 % confidence (3/N) the chance is below "
        f"{share(faults)} at the next injection and below {share(deliveries)} at the next delivery."
    )


def share(trials: int) -> str:
    """Return 3/N, rounded up: `100 %`, `0.31 %`, `1 in 3,333,333`."""
    if trials <= RULE_OF_THREE:
        return "100 %"
    if trials < SMALL_SHARE:
        return f"{ceil(RULE_OF_THREE / trials * 10_000) / 100:.2f} %"
    return f"1 in {number(int(trials / RULE_OF_THREE))}"


def command_again(report: FaultReport) -> str:
    """Return what runs the same again."""
    minutes = (report.planned_seconds or report.seconds) / 60
    return f"make faults ONLY=run MINUTES={round(minutes, 1):g} SEED={report.seed}"


def target_cells(target: Target) -> list[str]:
    """Return the cells of a part's recoveries, as `TARGET_COLUMNS` names them."""
    return [
        target.part,
        f"{target.seconds:g} s",
        number(target.recovery.count),
        *(seconds(value) for value in (target.recovery.p50, target.recovery.p99)),
        seconds(target.recovery.max),
        "met" if target.is_met else "MISSED",
    ]


def cells(row: Row) -> list[str]:
    """Return a row's cells, as `COLUMNS` names them."""
    recovery = row.recovery
    return [
        row.name,
        number(row.runs),
        number(row.mixed),
        number(row.deliveries),
        *(number(count) for count in row.counts),
        seconds(recovery.p50) if recovery else NONE,
        seconds(recovery.p99) if recovery else NONE,
    ]


def circumstances(report: FaultReport) -> Iterator[str]:
    """Return what the run was: its seed and length, the machine, the load, what was asked."""
    verdict = report.verdict
    yield f"seed {report.seed}, begun {report.started}, {clock(report.seconds)} long"
    yield report.machine
    yield report.load
    in_vain = len(report.faults) - len(effective(report))
    yield (
        f"{counted(injections_of(report), 'injection')}, a mixture being one; of "
        f"{counted(in_vain, 'further fault')} nothing came, and they count nowhere"
    )
    yield (
        f"{counted(verdict.again, 'delivery', 'deliveries')} of rows that the reader had had "
        "before a reset: sent again after a loss"
    )
    yield (
        f"{counted(verdict.due, 'frame')} due; {counted(verdict.resets, 'reset')} justified; "
        f"{counted(verdict.ambiguous, 'write')} never answered, which may have happened or not"
    )
