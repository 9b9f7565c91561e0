"""The report of a fault run: each delivery and finding under one fault, texts that stay texts."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.evidence import Finding, Kind, Verdict
from tests.faults.reporting import plots, tally, wording
from tests.faults.reporting.report import page_of, summary_lines, table_as_markdown, write_page
from tests.faults.reporting.sample_report import sample_report
from tests.faults.result import FaultReport, FaultRun, Lag

BEGAN_AT = 1000.5


def fault(name: str, began: float, recovery: float | None = 1.0, *, alone: bool = True) -> FaultRun:
    """A fault of two seconds that began so many seconds after the load."""
    began_at = BEGAN_AT + began
    recovered_at = None if recovery is None else began_at + 2 + recovery
    group = "links" if name.startswith("link") else "processes"
    return FaultRun(name, group, alone, began_at, began_at + 2, recovered_at)


def report_of(*faults: FaultRun, **fields: object) -> FaultReport:
    values: dict[str, object] = {
        "seed": 7,
        "started": "2026-11-28T21:30:00Z",
        "began_at": BEGAN_AT,
        "seconds": 120.0,
        "machine": "2 cores",
        "load": "10 writers",
        "bound_seconds": 60.0,
        "verdict": Verdict(),
        "faults": list(faults),
        **fields,
    }
    return FaultReport(**values)  # type: ignore[arg-type]


def found(kind: Kind, seconds: float, sentence: str = "reader 3 lacks one.") -> Finding:
    return Finding(kind, BEGAN_AT + seconds, sentence)


class OpenTags(HTMLParser):
    """Which elements a page has, its texts, and whether each is closed."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_delivery_belongs_to_the_fault_that_began_last_before_it() -> None:
    faults = [fault("b", 20), fault("a", 10), fault("b", 30)]
    delivered = {1000: 1, 1010: 2, 1011: 4, 1020: 8, 1021: 16, 1030: 32, 1031: 64, 1200: 128}
    rows = {row.name: row for row in tally.rows_of(report_of(*faults, delivered=delivered))}
    assert rows[tally.NO_FAULT].deliveries == 1 + 2
    assert rows["a"].deliveries == 4 + 8
    assert rows["b"].deliveries == 16 + 32 + 64 + 128


def test_a_finding_belongs_to_the_fault_that_began_last_before_it() -> None:
    findings = [found(Kind.LOST, 9.9), found(Kind.LOST, 10), found(Kind.TWICE, 19.9)]
    findings += [found(Kind.UNBALANCED, 500), found(Kind.STRANGER, -1)]
    report = report_of(fault("a", 10), fault("b", 20), verdict=Verdict(findings=findings))
    counts = {row.name: row.counts for row in tally.rows_of(report)}
    assert counts == {
        tally.NO_FAULT: (1, 0, 0, 0, 1),
        "a": (1, 1, 0, 0, 0),
        "b": (0, 0, 0, 0, 1),
    }


moments = st.floats(min_value=-5, max_value=130)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), moments, st.booleans()), max_size=20),
    st.dictionaries(st.integers(995, 1130), st.integers(0, 1000)),
    st.lists(st.tuples(st.sampled_from(list(Kind)), moments), max_size=20),
)
def test_the_rows_sum_to_the_totals(
    faults: list[tuple[str, float, bool]],
    delivered: dict[int, int],
    findings: list[tuple[Kind, float]],
) -> None:
    report = report_of(
        *(fault(name, began, alone=alone) for name, began, alone in faults),
        delivered=delivered,
        verdict=Verdict(findings=[found(kind, at) for kind, at in findings]),
    )
    total = tally.total_of(tally.rows_of(report))
    assert total.deliveries == sum(delivered.values())
    assert sum(total.counts) == len(findings)
    assert total.runs == len(faults) == total.mixed + len(total.recoveries)
    assert all(total.found[kind] == report.verdict.count(kind) for kind in Kind)


def test_recoveries_are_those_of_faults_alone_and_one_that_never_came_is_longest() -> None:
    faults = [fault("a", second, second / 10) for second in range(1, 101)]
    faults += [fault("a", 101, 1000, alone=False), fault("b", 110, None), fault("b", 111, 3)]
    rows = {row.name: row for row in tally.rows_of(report_of(*faults))}
    of_a, of_b = rows["a"].recovery, rows["b"].recovery
    assert of_a is not None and of_b is not None
    assert (rows["a"].runs, rows["a"].mixed, of_a.count) == (101, 1, 100)
    assert (of_a.p50, of_a.p99) == pytest.approx((5.0, 9.9))
    assert of_b.p50 == pytest.approx(3)
    assert of_b.p99 == inf
    assert wording.cells(rows["b"])[-2:] == ["3.00 s", "never"]


def test_faults_stand_by_group_and_name() -> None:
    names = ("link: slow", "site: kill", "link: cut", "relay: kill")
    faults = [fault(name, place) for place, name in enumerate(names)]
    names_shown = [row.name for row in tally.rows_of(report_of(*faults))]
    assert names_shown == [
        tally.NO_FAULT,
        *("relay: kill", "site: kill", "link: cut", "link: slow"),
    ]


def test_a_clean_run_says_so_first() -> None:
    report = report_of(fault("a", 1), verdict=Verdict(deliveries=1234), delivered={1003: 1234})
    sentence = (
        "Nothing lost, nothing twice, nothing out of order, no false reset: "
        "1,234 deliveries through 1 fault."
    )
    page = page_of(report)
    assert summary_lines(report)[0] == sentence
    assert f"<h1>{sentence}</h1>" in page
    assert table_as_markdown(report).startswith(f"**{sentence}**\n")
    assert "<h2>Findings</h2>\n<p>None.</p>" in page


def test_a_run_with_findings_says_which_and_names_the_first_fifty() -> None:
    findings = [found(Kind.LOST, 60 - place, f"sentence {place}.") for place in range(60)]
    verdict = Verdict(deliveries=9, findings=[*findings, found(Kind.NOT_BACK, 100)])
    report = report_of(fault("relay: kill -9", 5), verdict=verdict)
    page = page_of(report)
    assert "<h1>Not clean: 60 lost, 1 not back, in 9 deliveries through 1 fault.</h1>" in page
    shown = re.findall(r"sentence \d+\.", page)
    assert shown == [f"sentence {place}." for place in range(59, 9, -1)]
    assert "lost</span> at 0:05, relay: kill -9:" in page
    assert "lost</span> at 0:04, before any fault:" in page
    assert "And 11 more." in page
    lines = summary_lines(report)
    assert "lost, 0:01: sentence 59." in lines
    assert "and 51 more" in lines


def test_a_run_of_nothing_claims_nothing() -> None:
    report = report_of()
    page = page_of(report)
    OpenTags(page)
    assert "<h1>Nothing was shown: no delivery was checked, through 0 faults.</h1>" in page
    assert "No fault was alone" in page
    assert wording.bound_sentence(report).startswith("Nothing can be said")
    assert "| **all** | **0** |" in table_as_markdown(report)


@pytest.mark.parametrize(
    ("trials", "share"),
    [
        (1, "100 %"),
        (3, "100 %"),
        (4, "75.00 %"),
        (987, "0.31 %"),
        (1000, "0.30 %"),
        (10_000_000, "1 in 3,333,333"),
    ],
)
def test_the_bound_is_three_in_so_many_rounded_up(trials: int, share: str) -> None:
    assert wording.share(trials) == share


def test_what_was_seen_has_no_bound() -> None:
    verdict = Verdict(deliveries=30_000, findings=[found(Kind.TWICE, 3)])
    report = report_of(*(fault("a", place) for place in range(300)), verdict=verdict)
    assert wording.bound_sentence(report) == (
        "Lost, out of order or false resets: not once, so with 95 % confidence (3/N) the chance "
        "is below 1.00 % at the next injection and below 0.01 % at the next delivery."
    )


EVIL = '</script><script>alert(1)</script><b x="y">|&\'`*'


def test_no_text_becomes_markup() -> None:
    report = report_of(
        FaultRun(EVIL, EVIL, True, BEGAN_AT, BEGAN_AT + 1, BEGAN_AT + 2, note=EVIL),
        verdict=Verdict(deliveries=1, findings=[found(Kind.LOST, 5, EVIL)]),
        machine=EVIL,
        load=EVIL,
        started=EVIL,
    )
    tags = OpenTags(page_of(report))
    assert tags.elements["b"] == OpenTags(page_of(report_of(fault("a", 0)))).elements["b"]
    assert tags.elements["script"] == 2
    for line in table_as_markdown(report).splitlines():
        assert "<" not in line.replace("\\<", "")
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == len(wording.COLUMNS) + 1


def test_the_page_of_an_hour_is_whole_and_small_and_asks_nobody(tmp_path: Path) -> None:
    report = sample_report(60)
    path = tmp_path / "reports" / "page.html"
    write_page(report, path)
    page = path.read_text(encoding="utf-8")
    assert len(page.encode()) < 2_000_000
    tags = OpenTags(page)
    assert tags.open in ([], ["html"])
    assert tags.addresses == []
    assert "://" not in page and "url(" not in page and "@import" not in page
    assert page.count("<rect ") == len(report.faults)
    for name in {run.name for run in report.faults}:
        assert name in page


def test_a_thinned_plot_keeps_every_peak_and_dip() -> None:
    written = dict.fromkeys(range(1001, 1001 + 7200), 100)
    written |= {3333: 700, 5555: 0}
    report = report_of(seconds=7200.0, written=written, lags=[Lag(BEGAN_AT + 9, 0.02)] * 999)
    report.lags.append(Lag(BEGAN_AT + 9.5, 30.0))
    timeline = plots.Timeline(report)
    events, _, lag, _ = plots.panels(timeline, report)
    corners = [float(y) for y in re.findall(r"V([\d.]+)", events.area)]
    bottoms = [float(y) for y in re.findall(r"M[\d.]+ ([\d.]+)", events.area)]
    assert len(corners) <= plots.SLICES
    assert events.ticks[-1].label == "800"
    assert min(corners) == pytest.approx(100 * (1 - 700 / 800), abs=0.1)
    assert max(bottoms) == 100
    assert lag.readings[timeline.slice_of(BEGAN_AT + 9)] == "lag up to 30.0 s"
    assert [tick.label for tick in lag.ticks] == ["100 ms", "1 s", "10 s", "100 s"]


def test_what_comes_after_the_load_is_on_the_page_too() -> None:
    report = report_of(fault("a", 130), seconds=100.0, delivered={1150: 5})
    timeline = plots.Timeline(report)
    assert timeline.span == pytest.approx(150.5)
    assert 0 < timeline.x(BEGAN_AT + 130) < plots.WIDTH


def test_a_fault_is_a_band_until_all_worked_again() -> None:
    runs = (fault("a", 10, 8), fault("b", 50, None), fault("a", 110, 50, alone=False))
    report = report_of(*runs, verdict=Verdict(deliveries=1))
    (group,) = plots.bands(plots.Timeline(report), report).values()
    ends = [(band.x, band.x + band.width) for band in group]
    for found_at, seconds_in in zip(ends, ((10, 20), (50, 112), (110, 120)), strict=True):
        assert found_at == pytest.approx([1000 * part / 120 for part in seconds_in], abs=0.1)
    assert [band.title for band in group] == [
        "0:10 a · lasted 2.00 s · back after 8.00 s",
        "0:50 b · lasted 2.00 s · not back within the bound",
        "1:50 a · lasted 2.00 s · back after 50.0 s · in a mixture",
    ]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_thinned_dots_keep_the_lowest_and_the_highest(values: list[float]) -> None:
    ordered = sorted(values)
    dots = plots.thinned(ordered, 80)
    assert len(dots) == min(80, len(ordered))
    assert (dots[0], dots[-1]) == (ordered[0], ordered[-1])
    assert not Counter(dots) - Counter(ordered)


@given(st.floats(0, 1e9))
def test_an_axis_ends_at_a_round_value_at_or_above_the_highest(highest: float) -> None:
    top, step = plots.round_axis(highest)
    assert top >= highest * (1 - 1e-6)
    assert 1 <= round(top / step) <= 5


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 ms"), (0.0312, "31 ms"), (0.0999, "0.10 s"), (9.994, "9.99 s"), (9.996, "10.0 s")]
    + [(99.9, "99.9 s"), (100.0, "1:40"), (3725.0, "1:02:05"), (inf, "never")],
)
def test_time_spans_are_told_with_three_digits(value: float, text: str) -> None:
    assert wording.seconds(value) == text


def test_a_finding_at_no_known_moment_is_shown_at_the_end() -> None:
    verdict = Verdict(findings=[Finding(Kind.UNBALANCED, inf, "The ledger lacks one.")])
    report = report_of(fault("a", 1), verdict=verdict)
    assert "unbalanced</span> at the end, a:" in page_of(report)
    assert "unbalanced, the end: The ledger lacks one." in summary_lines(report)


def test_the_command_runs_the_same_again() -> None:
    command = "make faults ONLY=run MINUTES={} SEED=7"
    assert wording.command_again(report_of(seconds=3600.0)) == command.format("60")
    assert wording.command_again(report_of(seconds=90.0)) == command.format("1.5")
    longer = report_of(seconds=3625.0, planned_seconds=3600.0)
    assert wording.command_again(longer) == command.format("60")


def test_a_parts_target_is_met_when_nearly_all_its_recoveries_were_quick_enough() -> None:
    faults = [
        replace(fault(name, number, recovery, alone=alone), target_seconds=3.0)
        for number, (name, recovery, alone) in enumerate(
            [
                ("relay: kill -9", 2.0, True),
                ("crash relay.before_append", 2.9, True),
                ("relay: kill -9", 20.0, False),
                ("formatter: kill -9", 3.1, True),
                ("site worker: kill -9", None, True),
            ]
        )
    ]
    report = report_of(*faults, fault("Redis: FLUSHALL", 20, 50.0))
    found = {target.part: target for target in tally.targets_of(report)}
    assert {part: target.is_met for part, target in found.items()} == {
        "relay": True,
        "formatter": False,
        "site worker": False,
    }
    assert found["relay"].recovery.count == 2
    assert "| relay | 3 s | 2 | 2.00 s | 2.90 s | 2.90 s | met |" in table_as_markdown(report)
    assert '<td class="wrong">never</td>' in page_of(report)


def test_the_pointer_reads_every_slice() -> None:
    page = page_of(sample_report(60))
    (text,) = re.findall(r'id="readings">(.*?)</script>', page, re.DOTALL)
    readings = json.loads(text)
    lengths = {len(panel) for panel in [*readings["panels"], readings["faults"]]}
    assert len(lengths) == 1 and lengths.pop() <= plots.SLICES


def test_a_fault_of_which_nothing_came_counts_nowhere_and_a_mixture_once() -> None:
    runs = [fault("a", 1), fault("b", 10, alone=False), fault("c", 10, alone=False)]
    runs = [replace(run, injection=number) for run, number in zip(runs, (1, 2, 2), strict=True)]
    in_vain = replace(fault("d", 20), injection=3, took_effect=False)
    report = report_of(*runs, in_vain)
    assert tally.injections_of(report) == 2
    assert "d" not in {row.name for row in tally.rows_of(report)}
    assert "of 1 further fault nothing came" in table_as_markdown(report)
