"""What a fault run leaves for people: a page, a table for RELIABILITY.md, the terminal's lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tests.faults.reporting import plots, tally, wording
from tests.faults.result import FaultReport

FINDINGS_ON_THE_PAGE = 50
FINDINGS_ON_THE_TERMINAL = 10


def write_page(report: FaultReport, path: Path) -> None:
    """Write the report as one HTML file that needs nothing else, not even a network."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page_of(report), encoding="utf-8")


def page_of(report: FaultReport) -> str:
    """Return the report as an HTML page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        clock=wording.clock,
        counted=wording.counted,
        number=wording.number,
        seconds=wording.seconds,
        cells=wording.cells,
    )
    rows = tally.rows_of(report)
    timeline = plots.Timeline(report)
    strips, strip_ticks = plots.strips(rows)
    attribution = tally.Attribution(report.faults)
    findings = sorted(report.verdict.findings, key=lambda finding: finding.at)
    panels = plots.panels(timeline, report)
    return environment.get_template("report.html").render(
        report=report,
        sentence=wording.verdict_sentence(report),
        clean=not report.verdict.findings,
        bound=wording.bound_sentence(report),
        command=wording.command_again(report),
        columns=wording.COLUMNS,
        kinds=[kind.value for kind in tally.COUNTED],
        rows=[row for row in rows if row.runs or row.deliveries or row.found],
        total=tally.total_of(rows),
        groups=tally.groups_of(report.faults),
        bands=plots.bands(timeline, report),
        panels=panels,
        ticks=timeline.ticks(),
        span=timeline.span,
        slice_seconds=timeline.slice_seconds,
        readings=[panel.readings for panel in panels],
        faults_at=plots.fault_of_each_slice(timeline, report),
        strips=strips,
        strip_ticks=strip_ticks,
        findings=[
            (finding, attribution.fault_at(finding.at))
            for finding in findings[:FINDINGS_ON_THE_PAGE]
        ],
        targets=[wording.target_cells(target) for target in tally.targets_of(report)],
        target_columns=wording.TARGET_COLUMNS,
        notes=[fault for fault in report.faults if fault.note],
    )


def table_as_markdown(report: FaultReport) -> str:
    """Return the table and what it is of, as RELIABILITY.md holds them."""
    rows = tally.rows_of(report)
    shown = [wording.cells(row) for row in rows if row.runs or row.deliveries or row.found]
    total = [f"**{cell}**" for cell in wording.cells(tally.total_of(rows))]
    told = [*wording.circumstances(report), wording.bound_sentence(report)]
    lines = [
        f"**{wording.verdict_sentence(report)}**",
        "",
        *(f"- {_plain(line)}" for line in told),
        f"- to run it again: `{wording.command_again(report)}`",
        "",
        *_table(wording.COLUMNS, shown),
        _line(total),
    ]
    if targets := [wording.target_cells(target) for target in tally.targets_of(report)]:
        lines += ["", *_table(wording.TARGET_COLUMNS, targets)]
    return "\n".join(lines) + "\n"


def summary_lines(report: FaultReport) -> list[str]:
    """Return what the terminal shows at the end."""
    lines = [wording.verdict_sentence(report), *wording.circumstances(report)]
    if recovery := tally.total_of(tally.rows_of(report)).recovery:
        lines.append(
            f"recovery of {wording.counted(recovery.count, 'fault')} alone: "
            f"p50 {wording.seconds(recovery.p50)}, p99 {wording.seconds(recovery.p99)}, "
            f"longest {wording.seconds(recovery.max)}"
        )
    lines.append(wording.bound_sentence(report))
    findings = sorted(report.verdict.findings, key=lambda finding: finding.at)
    for finding in islice(findings, FINDINGS_ON_THE_TERMINAL):
        at = wording.clock(finding.at - report.began_at)
        lines.append(f"{finding.kind.value}, {at}: {finding.sentence}")
    if len(findings) > FINDINGS_ON_THE_TERMINAL:
        lines.append(f"and {wording.number(len(findings) - FINDINGS_ON_THE_TERMINAL)} more")
    return [*lines, f"again: {wording.command_again(report)}"]


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    text = " ".join(text.split()).replace("\\", "\\\\")
    for mark in "|*_<`[":
        text = text.replace(mark, f"\\{mark}")
    return text


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    rule = _line(("---", *("---:" for _ in columns[1:])))
    return [_line(columns), rule, *(_line([_plain(cell) for cell in cells]) for cells in rows)]


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
