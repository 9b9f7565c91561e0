"""One fault run: the system, its load and its readers; fault after fault; then the verdict."""

from __future__ import annotations

import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from loadtest.bench.machine import machine_facts
from stack.errors import DeadlineMissed, StackError
from stack.output import say
from stack.process import wait_until
from tests.faults.catalogue import CATALOGUE
from tests.faults.catalogue.fault import Fault, Ground
from tests.faults.checking.checker import check
from tests.faults.collect import committed_events, lags, stored_comments
from tests.faults.evidence import Evidence, Finding, Kind
from tests.faults.load import Load
from tests.faults.readers.crowd import Crowd, CrowdPlan
from tests.faults.readers.watchers import Watchers
from tests.faults.recovery import wait_until_recovered
from tests.faults.result import FaultReport, FaultRun
from tests.faults.stage.system import System
from tests.faults.watch import Watch

DRAIN_SECONDS = 90.0
WARM_UP_SECONDS = 30.0
BOUND_SECONDS = 30.0
QUIET_SECONDS = 3.0
_SAID_EVERY_SECONDS = 15.0
_WORDS_OF_THE_LEDGER = 3_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be.

    Attributes:
        seconds: for how long faults are injected; behind a script, for how long there is load.
        readers: how many, beside the pages.
        mixtures: how often what comes next is several faults at once.
        faults: what is drawn from.
        each_once: whether every fault comes once, in random order, before any comes again.
        script: these instead of what is drawn, one after the other.
        pause_seconds: the most that lies between a recovery and the next fault.
    """

    seed: int
    seconds: float
    readers: int = 200
    threads: int = 4
    writers: int = 6
    events_per_second: float = 50.0
    mixtures: float = 0.25
    faults: Sequence[Fault] = CATALOGUE
    each_once: bool = True
    script: Sequence[Fault] | None = None
    pause_seconds: float = 0.5

    @property
    def load(self) -> str:
        """The load in one line."""
        return (
            f"{self.writers} writers, about {self.events_per_second:g} events a second on "
            f"{self.threads} threads, {self.readers} readers and {2 * self.threads} pages"
        )


@dataclass(slots=True)
class Scene:
    """What is on stage while faults are injected."""

    plan: Plan
    ground: Ground
    load: Load
    pages: Watchers
    crowd: Crowd
    watch: Watch
    random: Random
    faults: list[FaultRun] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def run(plan: Plan, system: System, *, tell: Callable[[str], None] = say) -> FaultReport:
    """Drive a running system through a plan and return what became of every event.

    Where anything is wrong, all evidence stays beside the system's logs, pickled.

    Raises:
        StackError: the load could not be set up, or nothing ever came.
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
    watch = Watch(system)
    pages = Watchers(system.site_url, system.gateway_url, load.threads, plan.seed)
    crowd_plan = CrowdPlan(
        port=system.gateway_port,
        threads=load.threads,
        seed=plan.seed,
        readers=plan.readers,
        slow=plan.readers // 20,
        through_link=plan.readers // 10,
        link_port=system.links_port,
    )
    with Crowd(crowd_plan) as crowd:
        scene = Scene(plan, ground, load, pages, crowd, watch, Random(plan.seed))
        watch.start()
        pages.start()
        crowd.start()
        began_at = time.monotonic()
        load.start()
        try:
            if wait_until_recovered(load, pages, began_at, WARM_UP_SECONDS, ground.over) is None:
                raise StackError(f"no comment came through within {WARM_UP_SECONDS:g} s")
            _inject_all(scene, tell)
        finally:
            load.stop()
        seconds = time.monotonic() - began_at
        _drain(scene)
        ended_at = time.monotonic()
        watch.stop()
        pages.stop()
        evidence = Evidence(
            writes=load.writes(),
            committed=committed_events(system),
            stored=stored_comments(system, load.threads),
            epochs=watch.epochs(),
            log=watch.log,
            ended_at=ended_at,
        )
        harvest = crowd.stop()
        harvest.add_to(evidence)
        pages.add_to(evidence)
    verdict = check(evidence)
    verdict.findings += [*scene.findings, *_books(system), *_crashes(system)]
    if verdict.findings:
        (system.places.root / "evidence.pickle").write_bytes(pickle.dumps(evidence))
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


def _inject_all(scene: Scene, tell: Callable[[str], None]) -> None:
    """Inject fault after fault until the time is over."""
    if scene.plan.script is not None:
        for fault in scene.plan.script:
            _inject(scene, [fault])
        scene.ground.wait(scene.plan.seconds)
        return
    ends_at = time.monotonic() + scene.plan.seconds
    said_at = time.monotonic()
    deck = _Deck(scene.plan, scene.random)
    while time.monotonic() < ends_at and scene.ground.system.running:
        if scene.random.random() < scene.plan.mixtures:
            _inject(scene, deck.several())
        else:
            _inject(scene, [deck.one()])
        scene.ground.wait(scene.random.uniform(0, scene.plan.pause_seconds))
        if time.monotonic() >= said_at + _SAID_EVERY_SECONDS:
            said_at = time.monotonic()
            tell(_progress(scene, ends_at - said_at))
    if not scene.ground.system.running:
        raise StackError("the system itself has ended: its supervisor is gone")


class _Deck:
    """Draws faults: every one once, then by weight."""

    def __init__(self, plan: Plan, random: Random) -> None:
        self._faults = list(plan.faults)
        self._weights = [fault.weight for fault in self._faults]
        self._random = random
        self._left = list(self._faults) if plan.each_once else []
        random.shuffle(self._left)

    def one(self) -> Fault:
        """Return the next fault."""
        if self._left:
            return self._left.pop()
        return self._random.choices(self._faults, self._weights)[0]

    def several(self) -> list[Fault]:
        """Return two or three different faults."""
        chosen: dict[str, Fault] = {}
        while len(chosen) < min(self._random.choice((2, 2, 3)), len(self._faults)):
            fault = self._random.choices(self._faults, self._weights)[0]
            chosen[fault.name] = fault
        return list(chosen.values())


def _inject(scene: Scene, faults: Sequence[Fault]) -> None:
    """Inject faults at once, and wait until all works again."""
    alone = len(faults) == 1
    runs = [
        FaultRun(
            fault.name,
            fault.group,
            alone,
            time.monotonic(),
            0.0,
            target_seconds=fault.target_seconds,
        )
        for fault in faults
    ]
    injections = [
        threading.Thread(
            target=_inject_one,
            args=(scene, fault, run, Random(scene.random.random())),
            daemon=True,
        )
        for fault, run in zip(faults, runs, strict=True)
    ]
    for injection in injections:
        injection.start()
    for injection in injections:
        injection.join()
    scene.faults += runs
    over_at = max(run.ended_at for run in runs)
    bound = max(BOUND_SECONDS, *(fault.bound_seconds for fault in faults))
    recovered_at = wait_until_recovered(scene.load, scene.pages, over_at, bound, scene.ground.over)
    for run in runs:
        run.recovered_at = recovered_at
        run.note = " ".join(filter(None, (run.note, scene.ground.notes.pop(run.name, ""))))
    if recovered_at is None:
        names = " with ".join(fault.name for fault in faults)
        scene.findings.append(
            Finding(Kind.NOT_BACK, over_at, f"{bound:g} s after {names} nothing comes through")
        )


def _inject_one(scene: Scene, fault: Fault, run: FaultRun, random: Random) -> None:
    run.began_at = time.monotonic()
    if fault.loses_data:
        scene.watch.note_loss()
    try:
        fault.inject(scene.ground, random)
    except (StackError, OSError) as error:
        # The part is down just now, or is no more what it was: another fault's doing.
        run.note = f"{type(error).__name__}: {error}"
    if fault.loses_data:
        scene.watch.note_loss()
    run.ended_at = time.monotonic()


def _progress(scene: Scene, seconds_left: float) -> str:
    crowd = scene.crowd.counts()
    return (
        f"{len(scene.faults)} faults, {crowd.frames} frames delivered, "
        f"{crowd.open} of {crowd.readers} readers connected, "
        f"{max(0.0, seconds_left):.0f} s left"
    )


def _drain(scene: Scene) -> None:
    """Wait until everybody has what was written; who has not by then has lost it."""
    scene.crowd.settle()
    frames, since = -1, time.monotonic()
    counts = scene.crowd.counts()

    def is_quiet() -> bool:
        nonlocal counts, frames, since
        counts = scene.crowd.counts()
        if counts.frames != frames or counts.open < counts.readers:
            frames, since = counts.frames, time.monotonic()
        return time.monotonic() - since > QUIET_SECONDS

    try:
        wait_until(is_quiet, DRAIN_SECONDS, "all is quiet", every_seconds=0.1)
    except DeadlineMissed:
        sentence = (
            f"{DRAIN_SECONDS:g} s after the last write {counts.open} of {counts.readers} readers "
            "are connected, and frames still come"
        )
        scene.findings.append(Finding(Kind.NOT_BACK, time.monotonic(), sentence))


def _books(system: System) -> list[Finding]:
    """Have the books checked as an operator does, and return what is wrong with them."""
    gateway = f"unix:{system.places.state / 'gateway' / 'private.sock'}"
    ended = system.manage("django", "push_ledger", "--check", "--gateway", gateway)
    if ended.returncode == 0:
        return []
    said = (ended.stdout + ended.stderr).strip()[-_WORDS_OF_THE_LEDGER:]
    return [Finding(Kind.UNBALANCED, time.monotonic(), f"push_ledger --check says: {said}")]


def _crashes(system: System) -> list[Finding]:
    """Return the workers of nginx that crashed; faults send SIGKILL and nothing worse."""
    lines = [
        line
        for log in sorted(system.log("gateway").parent.glob("gateway.log*"))
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if "exited on signal" in line and "exited on signal 9" not in line
    ]
    return [Finding(Kind.CRASHED, time.monotonic(), line[:200]) for line in lines]
