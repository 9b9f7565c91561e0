"""The whole system, faults for a minute and a half, and what became of every event: the short form
of `make faults ONLY=run`, with a fixed seed."""

import pytest

from tests.faults.bugs import hunt
from tests.faults.plan import Plan
from tests.faults.planted_bugs import PLANTED_BUGS
from tests.faults.reporting.report import summary_lines
from tests.faults.run import run
from tests.faults.stage.system import System

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

SEED = 6

# One of each: before the queue, in the formatter's scripts, in the gateway.
SHOWN_HERE = (
    "the relay moves its mark before it appends",
    "a finish repeated after a time-out publishes again",
    "frames that are handed over again are not dropped",
)


def test_whatever_dies_nothing_is_lost_and_the_books_balance() -> None:
    with System() as system:
        report = run(Plan(SEED, seconds=90, readers=100), system)
        system.keep = bool(report.verdict.findings)
    said = "\n".join(summary_lines(report))
    print(said)
    assert report.faults
    assert report.verdict.deliveries
    assert not report.verdict.findings, f"{said}\nall of it is in {system.places.root}"


@pytest.mark.parametrize("name", SHOWN_HERE)
def test_a_planted_bug_is_found(name: str) -> None:
    (bug,) = (bug for bug in PLANTED_BUGS if bug.name == name)
    found = hunt(bug, SEED)
    assert found.is_found, f"found {dict(found.found)} instead of {bug.found_as}"
