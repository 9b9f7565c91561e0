"""The process pool in a process that gevent has patched, and what is left when it is killed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stack.platform import REPOSITORY
from stack.process import Process, wait_until
from tests.integration.under_gevent import under_gevent
from tests.pool_work import is_gone

pytestmark = pytest.mark.long

DEADLINE_SECONDS = 150


@pytest.mark.parametrize(
    "scenario",
    [
        "the_same_tests",
        "a_hundred_callers",
        "others_go_on",
        "callers_in_the_order_they_came",
        "interrupted_at_work",
        "interrupted_in_the_queue",
        "interrupted_when_the_turn_comes",
        "closed_while_busy",
        "closed_while_a_process_starts",
    ],
)
def test_a_pool_under_gevent(scenario: str) -> None:
    ran = subprocess.run(
        under_gevent(f"tests.integration.pool_scenarios:{scenario}"),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_children_at_work_and_at_rest_die_with_their_parent(tmp_path: Path) -> None:
    report = tmp_path / "pids"
    parent = Process(
        "parent",
        under_gevent("tests.integration.pool_scenarios:parent_of_two", str(report)),
        log=tmp_path / "log",
        directory=REPOSITORY,
    )
    parent.start()
    try:
        parent.wait_until_ready(report.exists, DEADLINE_SECONDS)
        children = [int(pid) for pid in report.read_text(encoding="ascii").split()]
        assert len(children) == 2
        assert not any(map(is_gone, children))
        parent.kill()
        wait_until(lambda: all(map(is_gone, children)), DEADLINE_SECONDS, "the children ended")
    finally:
        parent.stop()
