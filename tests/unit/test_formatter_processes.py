"""A parent and its processes: what is started when. The clock is handed in."""

from __future__ import annotations

import logging

import pytest

from formatter.processes import (
    LONGEST_BACKOFF_SECONDS,
    STEADY_SECONDS,
    Processes,
    place_of_child,
)


class FakeProcess:
    """Runs until it is told that it has died."""

    def __init__(self, place: int, pid: int) -> None:
        self.place = place
        self.pid = pid
        self.status: int | None = None
        self.asked = False

    def poll(self) -> int | None:
        return self.status

    def terminate(self) -> None:
        self.asked = True

    def kill(self) -> None:
        self.status = -9


class Starts:
    """Remembers what was started."""

    def __init__(self) -> None:
        self.made: list[FakeProcess] = []

    def __call__(self, place: int) -> FakeProcess:
        self.made.append(FakeProcess(place, 1000 + len(self.made)))
        return self.made[-1]


@pytest.fixture
def starts() -> Starts:
    return Starts()


@pytest.fixture(autouse=True)
def longest_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)


def test_each_place_has_a_process_that_knows_it(starts: Starts) -> None:
    Processes(starts, 3).turn(0.0)
    assert [child.place for child in starts.made] == [0, 1, 2]


def test_one_that_dies_after_a_while_is_replaced_at_once_at_its_place(starts: Starts) -> None:
    processes = Processes(starts, 2)
    processes.turn(0.0)
    starts.made[1].status = -9
    processes.turn(STEADY_SECONDS)
    assert [child.place for child in starts.made] == [0, 1, 1]


def test_one_that_dies_at_its_start_again_and_again_waits_longer_and_longer(
    starts: Starts,
) -> None:
    processes = Processes(starts, 1)
    now, waits = 0.0, []
    processes.turn(now)
    for _ in range(12):
        starts.made[-1].status = 1
        count, died_at = len(starts.made), now
        while len(starts.made) == count:
            processes.turn(now)
            now += 0.125
        waits.append(now - 0.125 - died_at)
    assert waits[:5] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_BACKOFF_SECONDS


def test_the_others_are_looked_after_while_one_waits(starts: Starts) -> None:
    processes = Processes(starts, 2)
    processes.turn(0.0)
    for now in (0.0, 0.1):
        starts.made[-1].status = 1
        processes.turn(now)
    assert [child.place for child in starts.made] == [0, 1, 1]
    starts.made[0].status = 1
    processes.turn(0.2)
    assert [child.place for child in starts.made] == [0, 1, 1, 0]


def test_a_process_that_lived_begins_the_count_anew(
    starts: Starts, caplog: pytest.LogCaptureFixture
) -> None:
    processes = Processes(starts, 1)
    processes.turn(0.0)
    with caplog.at_level(logging.ERROR):
        for now in (1.0, 2.0, 20.0 + STEADY_SECONDS):
            starts.made[-1].status = 1
            processes.turn(now)
            processes.turn(now + 10)
    assert [record.getMessage() for record in caplog.records] == [
        "worker 0 (process 1000) ended with 1 after 1.0 s, time 1 in a row; "
        "the next one starts in 0.0 s",
        "worker 0 (process 1001) ended with 1 after 1.0 s, time 2 in a row; "
        "the next one starts in 0.5 s",
        "worker 0 (process 1002) ended with 1 after 13.0 s, time 1 in a row; "
        "the next one starts in 0.0 s",
    ]


def test_those_that_do_not_end_are_killed_and_counted(starts: Starts) -> None:
    processes = Processes(starts, 3)
    processes.turn(0.0)
    starts.made[0].status = 0
    processes.terminate()
    assert [child.asked for child in starts.made] == [False, True, True]
    starts.made[1].status = 0
    assert processes.running == 1
    assert processes.kill() == 1
    assert processes.running == 0


def test_a_process_started_by_hand_has_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUSHGATE_FORMATTER_CHILD", raising=False)
    assert place_of_child() is None
