"""What the bench's clients note, and how the two proofs with thousands of them are judged."""

from __future__ import annotations

import multiprocessing
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from loadtest.bench.gateway import cuts, drops, frames, reloads, subscriber, subscribers
from loadtest.bench.gateway.exactness import Exactness
from loadtest.bench.gateway.findings import Findings
from loadtest.bench.gateway.shares import Shares
from loadtest.percentiles import Percentiles

EXACT = Exactness(
    due=100,
    came=100,
    lost=0,
    twice=0,
    out_of_order=0,
    resets={},
    refusals={},
    departures={},
    complaints=(),
    errors=("[error] 1#1: the tail waits: the engine answered 503",),
    books={"balances": True, "workers_killed": 0, "frames": {"short": 0}},
)
SHARES = Shares(seconds=60.0, gateway=0.4, redis=0.03, clients=0.3)


def hear(attendance: subscribers.Attendance, theirs: socket.socket, *parts: bytes | str) -> None:
    """One subscriber reads these parts, one after the other."""
    one = attendance._all[0]
    for part in parts:
        theirs.sendall(part if isinstance(part, bytes) else part.encode())
        attendance._read(one)


@contextmanager
def attended() -> Iterator[tuple[subscribers.Attendance, subscriber.Subscriber, socket.socket]]:
    """One subscriber whose stream has begun, and the server's end of it."""
    theirs, ours = socket.socketpair()
    pipe, _other_end = multiprocessing.Pipe()
    share = subscriber.Share(1, "127.0.0.2", ("/sub/thread:1",), b"\nid: ", follows=True)
    attendance = subscribers.Attendance(share, pipe, SimpleNamespace(value=0))
    one = attendance._all[0]
    one.connection = ours
    with ours, theirs:
        hear(attendance, theirs, "HTTP/1.1 200 OK\r\n\r\nretry: 1500\nid: 00000000.1-0\n\n")
        yield attendance, one, theirs


def test_a_subscriber_takes_up_where_it_was():
    with attended() as (attendance, one, theirs):
        assert (one.is_open, one.retry_seconds, one.last_id) == (True, 1.5, b"00000000.1-0")
        # In two parts, the second of which begins in the middle of a frame.
        text = "".join(map(frames.frame_with_id, (1, 2)))
        hear(attendance, theirs, text[:450], text[450:])
        assert (attendance.found(2).frames, attendance.found(2).wrong) == (2, 0)
        assert one.last_id == b"00000000.1700000000000-2"


@pytest.mark.parametrize(
    ("numbers", "lost", "twice", "out_of_order"),
    [
        ((1, 2, 3, 4), 0, 0, 0),
        ((1, 2, 4), 1, 0, 0),
        ((1, 2, 3), 1, 0, 0),
        ((3, 4), 2, 0, 0),
        ((), 4, 0, 0),
        ((1, 2, 2, 3, 4), 0, 1, 0),
        ((1, 2, 3, 4, 1, 2), 0, 2, 0),
        ((1, 3, 2, 4), 0, 0, 1),
        ((1, 4, 2, 2), 1, 1, 1),
    ],
)
def test_what_was_lost_came_twice_or_late_is_counted_apart(numbers, lost, twice, out_of_order):
    with attended() as (attendance, _, theirs):
        hear(attendance, theirs, *map(frames.frame_with_id, numbers))
        found = attendance.found(newest=4)
        assert (found.lost, found.twice, found.out_of_order) == (lost, twice, out_of_order)
        assert found.frames == len(numbers)


def test_resets_and_refusals_are_counted_by_reason():
    with attended() as (attendance, one, theirs):
        hear(attendance, theirs, 'event: reset\ndata: {"reason":"history","cursor":"x"}\n\n')
        hear(attendance, theirs, 'event: error\ndata: {"reason": "full"}\n\n')
        for answer in (
            'HTTP/1.1 200 OK\r\n\r\nretry: 7\nevent: error\ndata: {"reason": "rate"}\n\n',
            "HTTP/1.1 200 OK\r\n\r\nretry: 9\n\n",
            "HTTP/1.1 404 Not Found\r\n\r\nno such address",
        ):
            one.rest = answer.encode()
            attendance._note_refusal(one)
        found = attendance.found()
        assert found.resets == {"history": 1}
        assert found.refusals == {"full": 1, "rate": 1, "reload": 1, "status 404": 1}
        assert (found.signals, one.retry_seconds) == (4, 0.009)


def test_a_replay_ends_with_the_last_frame_that_was_due():
    with attended() as (attendance, one, theirs):
        one.due = 3
        hear(attendance, theirs, *map(frames.frame_with_id, (1, 2)))
        assert len(attendance.findings.replay_ms) == 0
        hear(attendance, theirs, *map(frames.frame_with_id, (3, 4)))
        assert (len(attendance.findings.replay_ms), attendance.findings.replayed) == (1, 3)
        assert one.due == 0


def test_connections_last_as_long_as_the_seed_says():
    drawn = [cuts.Cuts(15, 2, seed=7).lasts_seconds("127.0.0.2", 3, count) for count in range(2000)]
    again = [cuts.Cuts(15, 2, seed=7).lasts_seconds("127.0.0.2", 3, count) for count in range(2000)]
    assert drawn == again
    assert sum(drawn) / len(drawn) == pytest.approx(15, rel=0.1)
    assert cuts.Cuts(15, 2, seed=8).lasts_seconds("127.0.0.2", 3, 0) != drawn[0]


def test_what_several_processes_found_is_added_up():
    one, other = Findings(lost=1, resets=Counter(history=1)), Findings(lost=2, cuts=3)
    one.replay_ms.append(7.0)
    other.replay_ms.append(9.0)
    one.add(other)
    assert (one.lost, one.cuts, one.resets, list(one.replay_ms)) == (3, 3, {"history": 1}, [7, 9])


@pytest.mark.parametrize(
    "wrong",
    [
        replace(EXACT, lost=1),
        replace(EXACT, twice=1),
        replace(EXACT, out_of_order=1),
        replace(EXACT, resets={"history": 2, "epoch": 1}),
        replace(EXACT, refusals={"unavailable": 1}),
        replace(EXACT, complaints=["[alert] 1#1: worker process 2 exited on signal 11"]),
        replace(EXACT, books={**EXACT.books, "balances": False, "frames": {"short": 1}}),
        replace(EXACT, books={**EXACT.books, "balances": None}),
        replace(EXACT, books={**EXACT.books, "workers_killed": 1}),
    ],
)
def test_one_thing_wrong_is_one_target_missed(wrong):
    assert EXACT.is_exact
    assert not wrong.is_exact
    assert [row[-1] for row in EXACT.rows()].count("MISSED") == 0
    assert [row[-1] for row in wrong.rows()].count("MISSED") == 1
    assert EXACT.notes() == []
    assert wrong.notes()[-1].endswith("the engine answered 503")


def test_resets_are_told_by_reason():
    rows = replace(EXACT, resets={"history": 2, "epoch": 1}).rows()
    assert ("false resets", "3 (history 2, epoch 1)", "0", "MISSED") in rows


def test_drops_are_a_table_and_a_section_of_a_page():
    times = Percentiles.of([1.0, 90.0, 140.0])
    plan = drops.Plan(10_000, 120, 2.0, cuts.Cuts(15, 2, seed=7))
    found = drops.Drops(plan, 35_000, 34_900, 140_000, times, times, times, SHARES, EXACT)
    table = drops.table_of(found, "Before it began, ...")
    assert "10,000 clients" in table.title
    assert "seed 7" in table.title
    assert list(table.rows[1][:2]) == ["a second", "583"]
    assert table.is_met
    assert not drops.table_of(replace(found, exactness=replace(EXACT, lost=1)), "").is_met
    page = table.markdown()
    assert page.startswith("### Drops: 10,000 clients")
    assert "|---|---:|---:|---:|\n| connections cut | 35,000 |  |  |\n" in page
    assert page.endswith("Before it began, ...\n")


def reload_of(back_seconds: float = 5.2, peak: int = 600, resident_bytes: int = 110 * 2**20):
    """One reload; the average rate is 500 a bin without its peak."""
    return reloads.Reload(back_seconds, [500] * 7 + [peak], [500] * 8, resident_bytes)


def reloads_of(*ones: reloads.Reload) -> reloads.Reloads:
    return reloads.Reloads(reloads.Plan(5_000, len(ones)), 12, 0, SHARES, ones, EXACT)


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        (reloads_of(reload_of()), 0),
        (reloads_of(reload_of(), reload_of(back_seconds=36)), 1),
        (reloads_of(reload_of(), reload_of(peak=1500)), 1),
        (reloads_of(*(reload_of(resident_bytes=place << 10) for place in range(100))), 0),
        (reloads_of(*(reload_of(resident_bytes=place << 15) for place in range(100))), 1),
        (reloads_of(*(reload_of(resident_bytes=place << 15) for place in range(10))), 0),
    ],
)
def test_reloads_are_judged_by_returns_their_rate_and_memory(found, missed):
    assert [row[-1] for row in reloads.table_of(found, "").rows].count("MISSED") == missed


def test_returns_are_counted_from_the_first_to_the_last_whole_bin():
    width = reloads.BIN_SECONDS
    times = [9.0, *(10.0 + width * share for share in (0, 0.5, 1.1, 1.2, 1.3, 2.1, 3.5)), 30.0]
    assert reloads._binned(times, 10.0, 20.0) == [2, 3, 1]
