"""`make run` keeps its parts running and stops them, whoever tells it to; with stand-in parts."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.health import page_is_served
from stack.platform import REPOSITORY
from stack.process import wait_until
from tests.started_run import STAND_INS, StartedRun

pytestmark = [pytest.mark.real_redis, pytest.mark.long]

Start = Callable[..., StartedRun]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts runs, and kills at the end what is left of them."""
    runs: list[StartedRun] = []

    def _start(name: str = "state", **options) -> StartedRun:
        runs.append(StartedRun(tmp_path / name, **options))
        return runs[-1]

    yield _start
    for run in runs:
        run.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_every_part_and_leaves_no_process(start: Start, number: int) -> None:
    run = start()
    run.wait_until_ready()

    run.child.send_signal(number)

    assert run.child.wait(60) == 0, run.said
    assert run.processes() == set()
    assert list(run.state_dir.glob("*.pid")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_to_make_alone_stops_every_part(start: Start, tmp_path: Path, number: int) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"run:\n\t@exec {' '.join(STAND_INS)}\n")
    run = start(command=["make", "-f", str(makefile), "run"])
    run.wait_until_ready()

    run.child.send_signal(number)

    run.child.wait(60)
    run.wait_until_gone()


@pytest.mark.parametrize("part", ["redis", "site"])
def test_a_killed_part_comes_back(start: Start, part: str) -> None:
    run = start()
    run.wait_until_ready()
    killed = run.pid(part)

    os.kill(killed, signal.SIGKILL)

    wait_until(lambda: run.pid(part) != killed, 15, f"{part} is started again")
    wait_until(
        lambda: page_is_served(f"http://127.0.0.1:{run.site_port}/"), 15, "the site serves pages"
    )


def test_nothing_outlives_a_run_that_was_killed(start: Start) -> None:
    run = start()
    run.wait_until_ready()

    run.child.kill()

    run.wait_until_gone()


def test_a_run_after_a_killed_one_starts_as_ever(start: Start) -> None:
    killed = start()
    killed.wait_until_ready()
    killed.child.kill()

    successor = start(environment={"SITE_PORT": str(killed.site_port)})

    successor.wait_until_ready()
    assert page_is_served(f"http://127.0.0.1:{killed.site_port}/")


def test_the_next_run_finds_the_data_of_the_last(start: Start) -> None:
    first = start()
    first.wait_until_ready()
    first.child.terminate()
    first.child.wait(60)

    second = start()

    second.wait_until_ready()
    assert "loaded from append only file" in (second.state_dir / "logs/redis.log").read_text()


def test_two_runs_with_their_own_folders_and_ports_go_side_by_side(start: Start) -> None:
    one, other = start("one"), start("other")
    one.wait_until_ready()
    other.wait_until_ready()

    one.child.terminate()

    assert one.child.wait(60) == 0
    assert page_is_served(f"http://127.0.0.1:{other.site_port}/")


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("site-dies", "site ends whenever it is started"),
        ("before-fails", "failed before site"),
    ],
)
def test_a_part_that_cannot_start_is_named_with_its_log(
    start: Start, broken: str, sentence: str
) -> None:
    run = start(environment={"STAND_IN_BROKEN": broken})

    assert run.child.wait(60) == 1
    assert sentence in run.said
    assert "was broken on purpose" in run.said
    assert run.processes() == set()


def test_status_lists_each_part_with_its_pid(start: Start) -> None:
    run = start()
    run.wait_until_ready()

    said = subprocess.run(
        [sys.executable, "-m", "stack.status"],
        cwd=REPOSITORY,
        env={**os.environ, "STATE_DIR": str(run.state_dir)},
        capture_output=True,
        text=True,
        check=False,
    ).stdout

    lines = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
    assert lines["redis"] == [str(run.pid("redis")), "running"]
    assert lines["site"] == [str(run.pid("site")), "running"]
    assert lines["relay"] == ["-", "not", "running"]
