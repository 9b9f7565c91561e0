"""What the watchdog ends and what it leaves alone, in a process that gevent has patched."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from stack.platform import REPOSITORY
from stack.process import Process, wait_until
from tests.integration.under_gevent import under_gevent
from tests.integration.watchdog_scenarios import SECONDS

DEADLINE_SECONDS = 150


def run(scenario: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        under_gevent(f"tests.integration.watchdog_scenarios:{scenario}"),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("scenario", "status", "guilty"),
    [
        ("endless_loop", -signal.SIGVTALRM, "in compute"),
        ("endless_loop_in_a_greenlet", -signal.SIGVTALRM, "in compute"),
        ("endless_regular_expression", -signal.SIGVTALRM, "in endless_regular_expression"),
        ("endless_wait", 1, "in endless_wait"),
    ],
)
def test_a_process_that_is_stuck_is_ended_and_says_where(
    scenario: str, status: int, guilty: str
) -> None:
    ran = run(scenario)
    assert ran.returncode == status, ran.stderr
    warning, _, traceback = ran.stderr.partition("most recent call first")
    assert "ERROR:formatter:the event loop has not turned for 0.5 s; it is in " in warning
    assert guilty in traceback


@pytest.mark.parametrize("scenario", ["busy_and_healthy", "idle_and_healthy"])
def test_a_healthy_process_is_left_alone(scenario: str) -> None:
    ran = run(scenario)
    assert ran.returncode == 0, ran.stderr


def test_a_watchdog_that_was_stopped_ends_nothing_until_it_is_started_again() -> None:
    ran = run("watched_no_more")
    assert ran.returncode == -signal.SIGVTALRM, ran.stderr
    assert ran.stderr.count("most recent call first") == 1


def test_a_process_that_was_stopped_for_a_while_goes_on(tmp_path: Path) -> None:
    report = tmp_path / "turns"
    process = Process(
        "counting",
        under_gevent("tests.integration.watchdog_scenarios:counting", str(report)),
        log=tmp_path / "log",
        directory=REPOSITORY,
    )
    process.start()
    try:
        process.wait_until_ready(report.exists, DEADLINE_SECONDS)
        os.kill(process.pid, signal.SIGSTOP)
        stopped_at = time.monotonic()
        wait_until(
            lambda: time.monotonic() > stopped_at + 2 * SECONDS,
            DEADLINE_SECONDS,
            "the process was stopped for twice the time it may be frozen",
        )
        turns = int(report.read_text(encoding="ascii"))
        os.kill(process.pid, signal.SIGCONT)
        wait_until(
            lambda: int(report.read_text(encoding="ascii")) > turns + 200,
            DEADLINE_SECONDS,
            "it turns",
        )
        assert process.running
    finally:
        process.stop()
