"""The load test on the whole system: it passes where all is well, and fails where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadtest.bench.answer_to_frame import answer_to_frame
from loadtest.site import Site
from loadtest.target import Target, own
from pushgate import Event, Keys, RedisJobQueue, connect, publish
from stack.platform import REPOSITORY
from stack.process import wait_until
from tests.end_to_end.conftest import System

pytestmark = [pytest.mark.whole_system, pytest.mark.long]

Start = Callable[..., "StartedLoad"]


class StartedLoad:
    """A load test as a child process."""

    def __init__(self, system: System, words: Path, *arguments: str) -> None:
        self._words = words
        environment = {
            **os.environ,
            "SITE_PORT": str(system.run.site_port),
            "GATEWAY_PORT": str(system.run.gateway_port),
        }
        with words.open("w") as output:
            self.child = subprocess.Popen(
                (sys.executable, "-m", "loadtest.run", *arguments),
                cwd=REPOSITORY,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        """All it has printed until now."""
        return self._words.read_text()


@pytest.fixture
def start(system: System, tmp_path: Path) -> Iterator[Start]:
    """Starts load tests, and kills at the end what is left of them."""
    loads: list[StartedLoad] = []

    def _start(*arguments: str) -> StartedLoad:
        loads.append(StartedLoad(system, tmp_path / "load.said", *arguments))
        return loads[-1]

    yield _start
    for load in loads:
        load.child.kill()
        load.child.wait(60)


def test_forty_readers_get_every_frame_once_and_in_order(start: Start) -> None:
    load = start("--readers", "40", "--threads", "4", "--seconds", "5", "--commenters", "4")

    assert load.child.wait(90) == 0, load.said
    assert "0 gaps, 0 repeats, 0 out of order, 0 strangers, 0 failures" in load.said
    assert "connects 40" in load.said


def test_a_frame_that_nobody_wrote_fails_the_load_test(start: Start, system: System) -> None:
    thread = system.new_thread() + 1
    queue = RedisJobQueue(connect(system.run.redis_url), Keys())
    data = {"id": 1, "thread": thread, "author": "A stranger", "text": "Not by the API."}
    load = start("--readers", "4", "--threads", "1", "--seconds", "5", "--commenters", "1")

    def publish_until_it_ends() -> bool:
        publish(Event("comment.created", (f"thread:{thread}",), data), queue)
        return load.child.poll() is not None

    wait_until(publish_until_it_ends, 90, "the load test has ended", every_seconds=0.2)

    assert load.child.returncode == 1, load.said
    assert "which was not accepted" in load.said


def test_a_site_that_does_not_answer_is_one_sentence(start: Start, system: System) -> None:
    environment = {**os.environ, "SITE_PORT": "1", "GATEWAY_PORT": str(system.run.gateway_port)}

    ended = subprocess.run(
        (sys.executable, "-m", "loadtest.run"),
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("load test: no site answers at http://127.0.0.1:1; start")
    assert ended.stderr.count("\n") == 1


def test_a_system_started_for_a_load_test_alone_is_stopped_with_it() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("STATE_DIR",)}
    with own(environment) as target:
        assert Site(target.site_url).answers()
        state_dir = target.state_dir

    assert not Site(target.site_url).answers()
    assert state_dir is not None
    assert not state_dir.exists()


def test_the_bench_says_how_long_a_frame_takes(system: System) -> None:
    table = answer_to_frame(Target(system.site, system.gateway), comments=5)

    assert [row[0] for row in table.rows][:2] == ["API's answer to frame", "commit to frame"]
    assert "5 comments" in str(table)
