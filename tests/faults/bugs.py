"""Plants one bug after the other, and looks whether the checker finds it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stack.output import say
from tests.faults.catalogue import BY_NAME
from tests.faults.evidence import Kind
from tests.faults.plan import Plan
from tests.faults.planted_bugs import PLANTED_BUGS, PlantedBug
from tests.faults.run import run
from tests.faults.stage.system import System

_READERS = 60
_QUIET_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Hunt:
    """What came of looking for one bug.

    Attributes:
        found: how many findings of each kind there were.
        example: the first that fits the bug.
    """

    bug: PlantedBug
    found: Counter[Kind]
    example: str
    seconds: float

    @property
    def is_found(self) -> bool:
        """Whether there was a finding that the bug explains."""
        return bool(self.example)


def hunt(bug: PlantedBug, seed: int) -> Hunt:
    """Look for one planted bug.

    Raises:
        StackError: the build does not even start.
    """
    began_at = time.monotonic()
    plan = Plan(
        seed,
        bug.seconds,
        readers=_READERS,
        script=[BY_NAME[name] for name in bug.faults],
        quiet_seconds=_QUIET_SECONDS,
    )
    with System(bug.edits) as system:
        findings = run(plan, system).verdict.findings
    fitting = [finding.sentence for finding in findings if finding.kind in bug.found_as]
    return Hunt(
        bug,
        Counter(finding.kind for finding in findings),
        fitting[0] if fitting else "",
        time.monotonic() - began_at,
    )


def hunt_all(
    seed: int, bugs: Sequence[PlantedBug] = PLANTED_BUGS, tell: Callable[[str], None] = say
) -> list[Hunt]:
    """Look for each planted bug, and tell of each as soon as it is known."""
    hunts = []
    for number, bug in enumerate(bugs, start=1):
        hunts.append(hunt(bug, seed))
        tell(f"{number}/{len(bugs)} {_words(hunts[-1])}")
    return hunts


def controls(
    seed: int, bugs: Sequence[PlantedBug] = PLANTED_BUGS, tell: Callable[[str], None] = say
) -> bool:
    """Do to a build without a bug what is done to those with one; return whether all was clean.

    What were found there too would be found by no merit of the checker.
    """
    scripts = list(dict.fromkeys(bug.faults for bug in bugs))
    are_clean = True
    for number, faults in enumerate(scripts, start=1):
        control = hunt(PlantedBug("none", (), tuple(Kind), faults), seed)
        done = ", ".join(dict.fromkeys(faults)) or "load alone"
        are_clean = are_clean and not control.is_found
        tell(f"without a bug {number}/{len(scripts)}, {done}: {control.example or 'clean'}")
    return are_clean


def table_of(hunts: Sequence[Hunt]) -> str:
    """Return the table of RELIABILITY.md."""
    lines = ["| planted bug | what was done | found as |", "|---|---|---|"]
    for each in hunts:
        done = ", ".join(dict.fromkeys(each.bug.faults)) or "load alone"
        lines.append(f"| {each.bug.name} | {done} | {_kinds(each)} |")
    return "\n".join(lines) + "\n"


def _kinds(each: Hunt) -> str:
    if not each.is_found:
        return "**not found**"
    return ", ".join(kind.value for kind in each.bug.found_as if each.found[kind])


def _words(each: Hunt) -> str:
    if each.is_found:
        return f"found ({_kinds(each)}) in {each.seconds:.0f} s: {each.bug.name}"
    others = ", ".join(f"{count} {kind.value}" for kind, count in each.found.items()) or "nothing"
    return f"NOT FOUND, but {others}, in {each.seconds:.0f} s: {each.bug.name}"
