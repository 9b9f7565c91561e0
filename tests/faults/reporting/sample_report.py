"""A made-up run to look at: `python -m tests.faults.reporting.sample_report page.html [minutes]`.

No figure in it was measured.
"""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

from tests.faults.evidence import Finding, Kind, Verdict
from tests.faults.reporting.report import write_page
from tests.faults.result import FaultReport, FaultRun, Lag

SEED = 20261128
BOUND_SECONDS = 60.0
LONGEST_ALONE_SECONDS = 2.5

FAULTS: dict[str, tuple[str, ...]] = {
    "processes": (
        "formatter: kill -9",
        "formatter: SIGSTOP past the lease",
        "relay: kill -9",
        "relay: SIGSTOP past the lease",
        "gateway worker: kill -9",
        "gateway: nginx -s reload",
        "gateway: restart",
        "redis: kill -9",
        "redis: SIGSTOP",
        "site: kill -9",
    ),
    "crash points": (
        "relay: after commit, before append",
        "relay: after append, before mark",
        "formatter: after claim",
        "formatter: after format",
        "formatter: before finish",
        "formatter: after finish",
        "gateway: between tail read and hand-over",
    ),
    "links": ("relay-redis: cut", "relay-redis: half-open", "gateway-redis: slow"),
    "data": ("redis: emptied", "redis: append-only file cut"),
    "disk": ("redis: disk full", "database: disk full"),
    "clock": ("clock: an hour ahead", "clock: a minute back"),
    "clients": ("clients: flood of connects", "clients: slow readers"),
}


def sample_report(minutes: float, findings: int = 0, seed: int = SEED) -> FaultReport:
    """Return a run of that length with a fault every 3.6 seconds, and so many findings."""
    rng = random.Random(seed)
    began_at, length = 81_234.56, minutes * 60
    report = FaultReport(
        seed=seed,
        started="2026-11-28T21:30:00Z",
        began_at=began_at,
        seconds=length,
        machine="2 cores, 24 GB, Linux 6.12, Python 3.13, nginx 1.26.3, Redis 8.0, PostgreSQL 17",
        load="10 writers, 300 readers, 5 pages, 20 threads; 30 % edits, 10 % deletions, bulk of 50",
        bound_seconds=BOUND_SECONDS,
        verdict=Verdict(resets=17, ambiguous=412),
    )
    moment = began_at + 5
    while moment < began_at + length - 10:
        report.faults.append(_fault(rng, moment))
        moment += rng.uniform(1.5, 5.7)
    for second in range(int(began_at), int(began_at + length)):
        _second(rng, report, second)
    report.verdict.deliveries = report.verdict.due = sum(report.delivered.values())
    for _ in range(findings):
        at = began_at + rng.uniform(0, length)
        sentence = f"reader {rng.randrange(300)} lacks <comment.created> {rng.randrange(10**6)}"
        report.verdict.findings.append(Finding(rng.choice(list(Kind)), at, sentence))
    return report


def _fault(rng: random.Random, began_at: float) -> FaultRun:
    group = rng.choices(list(FAULTS), weights=(10, 7, 4, 1, 1, 1, 2))[0]
    name = rng.choice(FAULTS[group])
    at_once = "kill" in name or group == "crash points"
    ended_at = began_at if at_once else began_at + rng.uniform(0.2, LONGEST_ALONE_SECONDS)
    recovery = min(BOUND_SECONDS / 2, math.exp(rng.gauss(-0.6, 0.8)))
    return FaultRun(
        name=name,
        group=group,
        alone=rng.random() < 0.7,
        began_at=began_at,
        ended_at=ended_at,
        recovered_at=ended_at + recovery,
        note="the log's epoch moved, as it must" if name == "redis: emptied" else "",
    )


def _second(rng: random.Random, report: FaultReport, second: int) -> None:
    hurt = any(
        fault.began_at <= second <= (fault.recovered_at or fault.ended_at)
        for fault in report.faults[-1000:]
        if fault.group in {"processes", "data"} and abs(fault.began_at - second) < BOUND_SECONDS
    )
    events = max(0, round(rng.gauss(14 if hurt else 40, 6)))
    report.written[second] = events
    report.delivered[second] = 0 if hurt and rng.random() < 0.3 else events * rng.randint(60, 90)
    report.open_streams[second] = rng.randint(240, 280) if hurt else rng.randint(290, 305)
    for _ in range(rng.randint(20, 35)):
        lag = math.exp(rng.gauss(-0.5 if hurt else -3.6, 0.9 if hurt else 0.4))
        report.lags.append(Lag(second + rng.random(), min(lag, 20.0)))


if __name__ == "__main__":
    write_page(sample_report(float((sys.argv[2:] or ["60"])[0])), Path(sys.argv[1]))
