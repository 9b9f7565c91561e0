"""Injects faults, one after the other and several at once, and waits each time until all works."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from stack.errors import DeadlineMissed, StackError
from tests.faults.books import unbalanced
from tests.faults.catalogue.fault import DISK, Fault, Ground, NoEffect, Thaw
from tests.faults.evidence import Finding, Kind
from tests.faults.load import Load
from tests.faults.plan import BOUND_SECONDS, Plan
from tests.faults.readers.crowd import Crowd
from tests.faults.readers.watchers import Watchers
from tests.faults.recovery import wait_until_recovered
from tests.faults.result import FaultRun
from tests.faults.watch import Watch

logger = logging.getLogger(__name__)

_SAID_EVERY_SECONDS = 15.0
_BOOKS_EVERY = 30


@dataclass(slots=True)
class Scene:
    """What is on stage while faults are injected, and what came of them so far."""

    plan: Plan
    ground: Ground
    load: Load
    pages: Watchers
    crowd: Crowd
    watch: Watch
    random: Random
    faults: list[FaultRun] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    injections: int = 0


def inject_all(scene: Scene, tell: Callable[[str], None]) -> None:
    """Inject fault after fault until the time is over.

    Raises:
        StackError: the system itself has ended.
    """
    if scene.plan.script is not None:
        for fault in scene.plan.script:
            _inject(scene, [fault])
        scene.ground.wait(scene.plan.seconds)
        return
    ends_at = time.monotonic() + scene.plan.seconds
    said_at = time.monotonic()
    deck = _Deck(scene.plan, scene.random)
    told = 0
    while time.monotonic() < ends_at and scene.ground.system.running:
        if scene.random.random() < scene.plan.mixtures:
            _inject(scene, deck.several())
        else:
            _inject(scene, [deck.one()])
        for finding in scene.findings[told:]:
            tell(f"{finding.kind.value}: {finding.sentence}")
        told = len(scene.findings)
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
        """Return two or three faults that befall different things, as far as there are such."""
        mixing = [fault for fault in self._faults if fault.mixes]
        weights = [fault.weight for fault in mixing]
        befalls = {fault.befalls for fault in mixing}
        chosen: dict[str, Fault] = {}
        while len(chosen) < min(self._random.choice((2, 2, 3)), len(befalls)):
            fault = self._random.choices(mixing, weights)[0]
            chosen.setdefault(fault.befalls, fault)
        return list(chosen.values())


def _inject(scene: Scene, faults: Sequence[Fault]) -> None:
    """Inject faults at once, and wait until all works again."""
    scene.injections += 1
    if any(fault.loses_data for fault in faults) or scene.injections % _BOOKS_EVERY == 0:
        # What is lost with Redis' data, the books are as well: they are checked before.
        scene.findings += unbalanced(scene.ground.system)
    runs = [
        FaultRun(
            fault.name,
            fault.group,
            len(faults) == 1,
            time.monotonic(),
            0.0,
            target_seconds=fault.target_seconds,
            injection=scene.injections,
        )
        for fault in faults
    ]
    thaws: list[Thaw] = []
    injections = [
        threading.Thread(
            target=_inject_one,
            args=(scene, fault, run, Random(scene.random.random()), thaws),
            daemon=True,
        )
        for fault, run in zip(faults, runs, strict=True)
    ]
    for injection in injections:
        injection.start()
    for injection in injections:
        injection.join()
    # A disk that owes Redis something, and a Redis that dies: what it confirmed may be gone.
    if len(faults) > 1 and any(fault.group == DISK for fault in faults):
        scene.watch.note_loss()
    try:
        _recover(scene, faults, runs)
    finally:
        for thaw in thaws:
            _thaw(scene, thaw)
    scene.faults += runs


def _inject_one(
    scene: Scene, fault: Fault, run: FaultRun, random: Random, thaws: list[Thaw]
) -> None:
    run.began_at = time.monotonic()
    try:
        thaw = fault.inject(scene.ground, random)
        if fault.loses_data:
            # At once: a change of the epoch that is seen later has this reason, and no other.
            scene.watch.note_loss()
        if thaw is not None:
            thaws.append(thaw)
    except NoEffect as error:
        run.took_effect, run.note = False, str(error)
    except Exception as error:
        # The boundary of a fault: it may find a part that another one has just ended.
        logger.exception("%s could not be injected", fault.name)
        run.took_effect, run.note = False, f"{type(error).__name__}: {error}"
    finally:
        run.ended_at = time.monotonic()


def _thaw(scene: Scene, thaw: Thaw) -> None:
    try:
        thaw()
    except DeadlineMissed as error:
        scene.findings.append(Finding(Kind.NOT_BACK, time.monotonic(), str(error)))


def _recover(scene: Scene, faults: Sequence[Fault], runs: Sequence[FaultRun]) -> None:
    over_at = max(run.ended_at for run in runs)
    bound = max(BOUND_SECONDS, *(fault.bound_seconds for fault in faults))
    recovered_at = wait_until_recovered(scene.load, scene.pages, over_at, bound, scene.ground.over)
    for run in runs:
        run.recovered_at = recovered_at
        run.note = " ".join(filter(None, (run.note, scene.ground.notes.pop(run.name, ""))))
    if recovered_at is None:
        names = " with ".join(fault.name for fault in faults)
        sentence = f"{bound:g} s after {names} nothing comes through"
        scene.findings.append(Finding(Kind.NOT_BACK, over_at, sentence))


def _progress(scene: Scene, seconds_left: float) -> str:
    crowd = scene.crowd.counts()
    return (
        f"{len(scene.faults)} faults, {crowd.frames} frames delivered, "
        f"{crowd.open} of {crowd.readers} readers connected, "
        f"{len(scene.findings)} findings, {max(0.0, seconds_left):.0f} s left"
    )
