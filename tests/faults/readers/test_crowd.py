"""The crowd against a real gateway: what it hands back is what happened."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.process import wait_until
from tests.faults.checking.checker import check
from tests.faults.evidence import Kind, Sign
from tests.faults.readers.crowd import Crowd, CrowdPlan
from tests.faults.readers.told_gateway import ToldGateway

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
    wishes = {
        "readers": 40,
        "slow": 4,
        "drop_seconds": 0.4,
        "longest_away_seconds": 1.0,
        "pause_seconds": (0.1, 0.5),
        "between_pauses_seconds": (0.1, 0.5),
        **other,
    }
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


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Where a test is the gateway itself."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(DEADLINE_SECONDS)
        yield made


def asked_for(connection: socket.socket) -> bytes:
    """Return what a reader asks for."""
    connection.settimeout(DEADLINE_SECONDS)
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        part = connection.recv(65536)
        assert part, "the reader has gone"
        request += part
    return request


def test_a_reader_comes_again_whatever_ends_or_hangs(listener: socket.socket) -> None:
    plan = CrowdPlan(
        listener.getsockname()[1],
        (1,),
        SEED,
        readers=1,
        slow=0,
        restless_share=0.0,
        connect_seconds=0.2,
        silence_seconds=0.2,
        retry_factor=0.1,
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    frame = b'id: aaaaaaaa.6-0\nevent: comment.created\ndata: {"text":"x"}\n\n'
    answers = [
        b"",
        b"HTTP/1.1 503 Away\r\n\r\n",
        b"no HTTP\r\n\r\n",
        head + b'retry: 10\nevent: error\ndata: {"reason":"overload"}\n\n',
        head + b"retry: 10\nid: aaaaaaaa.5-0\n\n",
        head + b"id: aaaaaaaa.5-0\n\n" + frame,
        head + b"id: aaaaaaaa.6-0\n\n" + frame[:20],
    ]
    brought = []
    with Crowd(plan) as crowd:
        crowd.start()
        for answer in answers:
            connection, _ = listener.accept()
            # All but those that end hang from here on.
            with connection:
                brought.append(b"aaaaaaaa." in asked_for(connection))
                connection.sendall(answer)
                with contextlib.suppress(ConnectionResetError):
                    while connection.recv(65536):
                        pass
        connection, _ = listener.accept()
        with connection:
            assert b"aaaaaaaa.6-0" in asked_for(connection)
        (reader,) = crowd.stop().readers
    assert brought == [False] * 5 + [True] * 2
    assert list(reader.frames) == [0]
    assert [mark.reason or mark.sign.value for mark in reader.marks] == [
        "status 503",
        "overload",
        *("subscribed", "ended") * 3,
    ]


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
