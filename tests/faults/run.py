"""One fault run: the system, its load and its readers; fault after fault; then the verdict."""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

from loadtest.bench.machine import machine_facts
from stack.errors import DeadlineMissed, StackError
from stack.output import say
from stack.process import wait_until
from tests.faults.books import unbalanced
from tests.faults.catalogue.fault import Ground
from tests.faults.checking.checker import check
from tests.faults.collect import committed_events, lags, stored_comments
from tests.faults.evidence import Evidence, Finding, Kind
from tests.faults.injection import Scene, inject_all
from tests.faults.load import Load
from tests.faults.plan import BOUND_SECONDS, Plan
from tests.faults.readers.crowd import Crowd, CrowdHarvest, CrowdPlan
from tests.faults.readers.watchers import Watchers
from tests.faults.recovery import wait_until_recovered
from tests.faults.result import FaultReport
from tests.faults.stage.system import System
from tests.faults.watch import Watch

DRAIN_SECONDS = 120.0
WARM_UP_SECONDS = 30.0


def run(plan: Plan, system: System, *, tell: Callable[[str], None] = say) -> FaultReport:
    """Drive a running system through a plan and return what became of every event.

    Where anything is wrong, all evidence stays beside the system's logs, pickled.

    Raises:
        StackError: the load could not be set up, nothing ever came, or the system ended.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    load = Load(
        system.site_url,
        str(plan.seed),
        threads=plan.threads,
        writers=plan.writers,
        events_per_second=plan.events_per_second,
    )
    ground = Ground(system, tuple(f"thread:{thread}" for thread in load.threads))
    gateways = (system.gateway_url, f"http://127.0.0.1:{system.links_port}")
    pages = Watchers(system.site_url, gateways, load.threads, plan.seed)
    with Crowd(_crowd_plan(plan, system, load)) as crowd:
        scene = Scene(plan, ground, load, pages, crowd, Watch(system), Random(plan.seed))
        began_at = time.monotonic()
        try:
            _play(scene, began_at, tell)
        finally:
            ground.over.set()
            load.stop()
        seconds = time.monotonic() - began_at
        _drain(scene)
        evidence, harvest = _evidence(scene)
    findings = [*scene.findings, *unbalanced(system), *_crashes(system)]
    # First, lest the checker itself fails.
    kept = system.places.root / "evidence.pickle"
    kept.write_bytes(pickle.dumps(evidence))
    verdict = check(evidence)
    verdict.findings += findings
    if not verdict.findings:
        kept.unlink()
    return FaultReport(
        seed=plan.seed,
        started=started,
        began_at=began_at,
        seconds=seconds,
        machine=machine_facts(("django", "gevent", "redis", "psycopg")),
        load=plan.load,
        bound_seconds=BOUND_SECONDS,
        verdict=verdict,
        planned_seconds=plan.seconds,
        faults=scene.faults,
        lags=lags(evidence),
        written=dict(Counter(int(write.begun_at) for write in evidence.writes)),
        delivered=evidence.per_second,
        open_streams=harvest.open_per_second,
    )


def _crowd_plan(plan: Plan, system: System, load: Load) -> CrowdPlan:
    return CrowdPlan(
        port=system.gateway_port,
        threads=load.threads,
        seed=plan.seed,
        readers=plan.readers,
        slow=plan.readers // 20,
        through_link=plan.readers // 10,
        link_port=system.links_port,
    )


def _play(scene: Scene, began_at: float, tell: Callable[[str], None]) -> None:
    scene.watch.start()
    scene.pages.start()
    scene.crowd.start()
    scene.load.start()
    over = scene.ground.over
    first_at = wait_until_recovered(scene.load, scene.pages, began_at, WARM_UP_SECONDS, over)
    if first_at is None:
        raise StackError(f"no comment came through within {WARM_UP_SECONDS:g} s")
    inject_all(scene, tell)
    scene.load.check()


def _drain(scene: Scene) -> None:
    """Wait until everybody has what was written; who has not by then has lost it."""
    scene.crowd.settle()
    frames, since = -1, time.monotonic()
    counts = scene.crowd.counts()

    def is_quiet() -> bool:
        nonlocal counts, frames, since
        counts = scene.crowd.counts()
        is_complete = counts.open == counts.readers and scene.pages.all_live
        if counts.frames != frames or not is_complete:
            frames, since = counts.frames, time.monotonic()
        return time.monotonic() - since > scene.plan.quiet_seconds

    try:
        wait_until(is_quiet, DRAIN_SECONDS, "all is quiet", every_seconds=0.1)
    except DeadlineMissed:
        sentence = (
            f"{DRAIN_SECONDS:g} s after the last write {counts.open} of {counts.readers} readers "
            "are connected, or frames still come"
        )
        scene.findings.append(Finding(Kind.NOT_BACK, time.monotonic(), sentence))


def _evidence(scene: Scene) -> tuple[Evidence, CrowdHarvest]:
    ended_at = time.monotonic()
    scene.watch.stop()
    scene.pages.stop()
    evidence = Evidence(
        writes=scene.load.writes(),
        committed=committed_events(scene.ground.system),
        stored=stored_comments(scene.ground.system, scene.load.threads),
        epochs=scene.watch.epochs(),
        log=scene.watch.log,
        ended_at=ended_at,
    )
    harvest = scene.crowd.stop()
    harvest.add_to(evidence)
    scene.pages.add_to(evidence)
    return evidence, harvest


def _crashes(system: System) -> list[Finding]:
    """Return the workers of nginx that crashed; faults send SIGKILL and nothing worse."""
    lines = [
        line
        for log in sorted(system.log("gateway").parent.glob("gateway.log*"))
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if "exited on signal" in line and "exited on signal 9" not in line
    ]
    return [Finding(Kind.CRASHED, time.monotonic(), line[:200]) for line in lines]
