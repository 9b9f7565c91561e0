"""The crowd against a real gateway: what it hands back is what happened."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.process import wait_until
from tests.faults.checker import check
from tests.faults.crowd import Crowd, CrowdPlan
from tests.faults.evidence import Kind, Sign
from tests.faults.told_gateway import ToldGateway

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

SEED = 11
DEADLINE_SECONDS = 60.0


@pytest.fixture
def told(tmp_path: Path) -> Iterator[ToldGateway]:
    """A gateway of the test's own."""
    with ToldGateway(tmp_path) as made:
        yield made


def plan_for(told: ToldGateway, **other: object) -> CrowdPlan:
    """A crowd that does not stay for long."""
    wishes = {"readers": 40, "slow": 2, "drop_seconds": 0.4, "longest_away_seconds": 1.0, **other}
    return CrowdPlan(told.port, (1, 2, 3), SEED, **wishes)  # type: ignore[arg-type]


def test_a_crowd_that_drops_and_resumes_got_everything_once(told: ToldGateway) -> None:
    chosen = random.Random(SEED)
    with Crowd(plan_for(told, through_link=3, link_port=told.port)) as crowd:
        crowd.start()
        crowd.wait_until_open(DEADLINE_SECONDS)
        for number in range(1_500):
            told.tell(chosen.choice((1, 2, 3)))
            if number == 700:
                os.kill(told.gateway.pid, signal.SIGHUP)
            if number == 1_000:
                for pid in told.gateway.worker_pids:
                    os.kill(pid, signal.SIGKILL)
                told.gateway.wait_until_ready()
        crowd.settle()
        last = {f"thread:{thread}": told.tell(thread) for thread in (1, 2, 3)}
        crowd.wait_until_heard(last, DEADLINE_SECONDS)
        counts = crowd.counts()
        harvest = crowd.stop()
    evidence = told.story.evidence
    # The story's clock is not the crowd's.
    for write in evidence.writes:
        write.begun_at = float("-inf")
    harvest.add_to(evidence)
    verdict = check(evidence)
    assert [finding.sentence for finding in verdict.findings] == []
    assert verdict.deliveries == counts.frames == sum(evidence.per_second.values()) > 15_000
    assert len(harvest.readers) == 40
    assert harvest.open_per_second
    ends = [mark for reader in harvest.readers for mark in reader.marks if mark.sign is Sign.ENDED]
    assert len(ends) > 40, "nobody has left"
    # What is checked is what was handed back: one frame less is found.
    del harvest.readers[17].frames[100]
    assert check(evidence).count(Kind.LOST) == 1


def test_a_crowd_comes_back_when_the_gateway_was_away(told: ToldGateway) -> None:
    with Crowd(plan_for(told, readers=10, restless_share=0.0)) as crowd:
        crowd.start()
        crowd.wait_until_open(DEADLINE_SECONDS)
        told.gateway.stop()
        wait_until(lambda: crowd.counts().open == 0, DEADLINE_SECONDS, "all streams are cut")
        told.gateway.start()
        crowd.wait_until_open(DEADLINE_SECONDS)
        last = {f"thread:{thread}": told.tell(thread) for thread in (1, 2, 3)}
        crowd.wait_until_heard(last, DEADLINE_SECONDS)
        harvest = crowd.stop()
    assert all(
        [mark.sign for mark in reader.marks][:3] == [Sign.SUBSCRIBED, Sign.ENDED, Sign.SUBSCRIBED]
        for reader in harvest.readers
    )


def test_the_same_seed_makes_the_same_crowd() -> None:
    plan = CrowdPlan(1, (1, 2, 3), SEED, through_link=5)
    assert plan.habits() == CrowdPlan(2, (1, 2, 3), SEED, through_link=5).habits()
    assert sum(habits.through_link for habits in plan.habits()) == 5
    assert {len(habits.channels) for habits in plan.habits()} == {1, 2, 3}


def test_a_crowd_whose_process_died_says_so(told: ToldGateway) -> None:
    with Crowd(plan_for(told, readers=2)) as crowd:
        crowd.start()
        crowd.wait_until_open(DEADLINE_SECONDS)
        os.kill(crowd.pid, signal.SIGKILL)
        with pytest.raises(StackError, match="the crowd's process ended"):
            crowd.wait_until_heard({"thread:1": 1}, DEADLINE_SECONDS)
