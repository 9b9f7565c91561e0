"""The formatter as a process of its own, on a real Redis."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from pushgate import (
    Control,
    Event,
    tombstone_of,
)
from pushgate.job_queue import FROM_THE_START, partition_of
from pushgate.leases import LEASE_SECONDS
from tests.integration.formatter_site import (
    PARTITIONS,
    Site,
    events,
    numbered,
    numbers_by_channel,
    site,
)

pytestmark = [pytest.mark.real_redis, pytest.mark.long]
__all__ = ["site"]


def test_every_event_becomes_a_frame_in_the_order_of_its_key(site: Site) -> None:
    site.put(*events(300, keys=7))
    site.start_worker()
    site.put(*[Event("comment.created", ("thread:0",), {"number": 1000})])
    site.wait_until_done()
    found = numbers_by_channel(site.frames())
    expected = {f"thread:{k}": list(range(k, 300, 7)) for k in range(7)}
    expected["thread:0"].append(1000)
    assert found == expected
    assert site.ledger().balances
    assert site.client.hlen(site.keys.attempts) == 0


def test_a_malformed_job_is_kept_with_its_reason_and_the_worker_goes_on(site: Site) -> None:
    site.client.xadd(site.keys.jobs(0), {"event": b'{"v": 1}'})
    site.client.xadd(site.keys.jobs(0), {"something": b"else"})
    site.client.hincrby(site.keys.ledger, "put", 2)
    site.client.hincrby(site.keys.ledger, "queued", 2)
    site.put(*events(4, keys=4))
    site.start_worker()
    site.wait_until_done()
    reasons = [letter[b"reason"] for letter in site.dead_letters()]
    assert len(reasons) == 2
    assert all(reason.startswith(b"malformed: an event") for reason in reasons)
    assert len(site.frames()) == 4
    assert site.ledger().balances


def test_a_stage_that_fails_buries_its_job_alone(site: Site) -> None:
    site.put(Event("failing.now", ("thread:0",), {}), *events(3))
    site.start_worker()
    site.wait_until_done()
    (letter,) = site.dead_letters()
    assert letter[b"reason"] == b"ValueError: this comment cannot be shown"
    assert Event.from_json(letter[b"event"]).type == "failing.now"
    assert numbers_by_channel(site.frames()) == {"thread:0": [0, 1, 2]}


def test_a_tombstone_stands_where_the_dead_events_frame_would_have_been(site: Site) -> None:
    dead = Event("failing.now", ("thread:0", "forum:1"), {}, object="t.comment:1", version=3)
    site.put(*events(5), dead, *events(5))
    site.start_worker()
    site.wait_until_done()
    frames = site.frames()
    assert [entry.frame.split(b"\n")[0] for entry in frames] == [
        *[b"event: comment.created"] * 5,
        b"event: gone",
        *[b"event: comment.created"] * 5,
    ]
    assert frames[5].frame == tombstone_of(dead).data
    assert frames[5].channels == ("thread:0", "forum:1")
    assert site.ledger().balances


def test_a_job_with_an_impossible_channel_is_kept_too(site: Site) -> None:
    body = events(1)[0].to_json().replace(b"thread:0", b"thread 0")
    site.client.xadd(site.keys.jobs(0), {"event": body})
    site.client.hincrby(site.keys.ledger, "put", 1)
    site.client.hincrby(site.keys.ledger, "queued", 1)
    site.start_worker()
    site.wait_until_done()
    (letter,) = site.dead_letters()
    assert b"space is not allowed" in letter[b"reason"] or b"thread 0" in letter[b"reason"]


def test_a_burst_becomes_one_frame_and_every_event_is_booked(site: Site) -> None:
    burst = [Event("burst.now", (f"thread:{n % 3}",), {"number": n}) for n in range(90)]
    site.put(*burst)
    site.start_worker()
    site.wait_until_done()
    found = numbers_by_channel(site.frames())
    for key in range(3):
        first, *others = found[f"thread:{key}"]
        assert first == key
        assert -sum(number for number in others if number < 0) + sum(n > 0 for n in others) == 29
        assert len(others) < 29
    ledger = site.ledger()
    assert ledger.published == len(site.frames())
    assert ledger.published + ledger.suppressed == 90


def test_events_that_cannot_be_collapsed_go_alone(site: Site) -> None:
    site.put(*[Event("no_collapse.now", ("thread:0",), {"number": n}) for n in range(4)])
    site.start_worker()
    site.wait_until_done()
    assert numbers_by_channel(site.frames()) == {"thread:0": [0, 1, 2, 3]}
    assert site.ledger().dead == 0


def test_an_endless_wait_ends_at_the_deadline_and_holds_up_nobody(site: Site) -> None:
    site.put(*[Event("endless_wait.now", ("thread:0",), {"number": 0})], *events(20, keys=5)[1:])
    site.start_worker()
    site.wait_until_done()
    (letter,) = site.dead_letters()
    assert letter[b"attempts"] == b"5"
    assert b"more than 0.2 s" in letter[b"reason"]
    assert site.ledger().published == 19


def test_a_frame_of_a_hundred_megabytes_buries_its_job_alone(site: Site) -> None:
    site.put(Event("flood.now", ("thread:0",), {}), *events(3))
    site.start_worker()
    site.wait_until_done()
    (letter,) = site.dead_letters()
    assert letter[b"reason"].startswith(b"FrameTooLarge")
    assert numbers_by_channel(site.frames()) == {"thread:0": [0, 1, 2]}


def test_a_stop_gives_back_what_was_not_begun_as_if_never_claimed(site: Site) -> None:
    site.put(*[Event("slow.now", (f"thread:{n % 2}",), {"number": n}) for n in range(200)])
    worker = site.start_worker()
    site.wait_until(lambda: len(site.frames()) > 3, "work goes on")
    assert worker.stop() == 0
    assert site.ledger().queued > 150
    for partition in range(PARTITIONS):
        lease = site.queue.leases.acquire(str(partition), "next")
        assert lease is not None
        assert {job.attempts for job in site.queue.claim(lease, FROM_THE_START, 500)} <= {1}


def test_a_stage_that_fails_for_now_is_tried_again_and_its_key_waits(site: Site) -> None:
    site.put(Event("shaky.now", ("thread:0",), {"number": -1}), *events(3))
    site.start_worker()
    site.wait_until_done()
    assert numbers_by_channel(site.frames()) == {"thread:0": [-1, 0, 1, 2]}
    assert site.ledger().dead == 0


def test_a_stage_that_never_succeeds_ends_in_the_dead_letters(site: Site) -> None:
    site.put(Event("hopeless.now", ("thread:0",), {}), *events(3))
    site.start_worker()
    site.wait_until_done()
    (letter,) = site.dead_letters()
    assert letter[b"attempts"] == b"5"
    assert numbers_by_channel(site.frames()) == {"thread:0": [0, 1, 2]}


def test_a_dropped_event_is_booked_as_suppressed(site: Site) -> None:
    site.put(Event("dropped.now", ("thread:0",), {}))
    site.start_worker()
    site.wait_until_done()
    assert site.frames() == []
    assert site.ledger().suppressed == 1


def test_an_event_that_comes_too_late_is_booked_as_expired(site: Site) -> None:
    site.put(Event("typing.now", ("thread:0",), {"number": 0}, at="2026-01-01T00:00:00Z"))
    site.put(Event("typing.now", ("thread:0",), {"number": 1}))
    site.start_worker()
    site.wait_until_done()
    assert numbers_by_channel(site.frames()) == {"thread:0": [1]}
    assert site.ledger().expired == 1
    assert site.ledger().balances


def test_partitions_are_shared_evenly_and_move_when_a_worker_dies(site: Site) -> None:
    first = site.start_worker()
    site.wait_until(lambda: list(site.holders().values()) == [4], "one worker holds all")
    site.start_worker()
    site.wait_until(lambda: sorted(site.holders().values()) == [2, 2], "two share")
    first.kill()
    site.wait_until(lambda: list(site.holders().values()) == [4], "the other holds all again")
    site.put(*events(40, keys=8))
    site.wait_until_done()
    assert len(site.frames()) == 40


def test_a_paused_partition_waits_while_the_others_go_on(site: Site) -> None:
    control = Control(site.client, site.keys, PARTITIONS)
    kept = partition_of("thread:0", PARTITIONS)
    other = next(
        name
        for name in (f"thread:{n}" for n in range(1, 100))
        if partition_of(name, PARTITIONS) != kept
    )
    control.pause(kept)
    site.start_worker()
    site.put(*events(5))
    site.put(*[Event("comment.created", (other,), {"number": n}) for n in range(5)])
    site.wait_until(lambda: len(site.frames()) == 5, "the other partition is done")
    assert numbers_by_channel(site.frames()) == {other: [0, 1, 2, 3, 4]}
    assert site.ledger().queued == 5
    control.resume(kept)
    site.wait_until_done()
    assert numbers_by_channel(site.frames())["thread:0"] == [0, 1, 2, 3, 4]


def test_a_worker_that_is_told_to_stop_gives_its_leases_back_at_once(site: Site) -> None:
    worker = site.start_worker()
    site.wait_until(lambda: site.holders(), "the worker holds partitions")
    site.put(*events(50, keys=3))
    assert worker.stop() == 0
    assert site.holders() == {}
    assert site.client.zcard(site.keys.workers) == 0
    site.start_worker()
    site.wait_until_done()
    assert len(site.frames()) == 50


def has_more_frames_than(site: Site, number: int) -> bool:
    return len(site.frames()) > number


def test_killed_workers_lose_nothing_and_repeat_nothing(site: Site) -> None:
    put = 0
    for _ in range(6):
        worker = site.start_worker()
        batch = numbered(range(put, put + 200), keys=5)
        before = len(site.frames())
        site.put(*batch)
        put += 200
        site.wait_until(partial(has_more_frames_than, site, before + 20), "work goes on")
        worker.kill()
    site.start_worker()
    site.wait_until_done()
    expected = {f"thread:{k}": list(range(k, put, 5)) for k in range(5)}
    assert numbers_by_channel(site.frames()) == expected
    assert site.ledger().balances


def test_a_worker_that_slept_past_its_leases_publishes_nothing_twice(site: Site) -> None:
    zombie = site.start_worker()
    site.put(*events(20, keys=5))
    site.wait_until_done()
    os.kill(zombie.pid, signal.SIGSTOP)
    site.put(*numbered(range(20, 40), keys=5))
    site.start_worker()
    site.wait_until(
        lambda: site.ledger().queued == 0,
        f"the second worker took over after {LEASE_SECONDS} s",
    )
    os.kill(zombie.pid, signal.SIGCONT)
    site.wait_until(lambda: len(site.holders()) == 2, "the sleeper is back with a share of its own")
    site.put(*numbered(range(40, 60), keys=5))
    site.wait_until_done()
    expected = {f"thread:{k}": list(range(k, 60, 5)) for k in range(5)}
    assert numbers_by_channel(site.frames()) == expected
    assert site.ledger().balances


def test_several_processes_are_replaced_when_they_die_and_end_with_their_parent(
    site: Site,
) -> None:
    parent = site.start_worker("--processes", "2")
    site.wait_until(lambda: sorted(site.holders().values()) == [2, 2], "two processes share")
    one, other = (int(owner.rsplit("-", 2)[1]) for owner in site.holders())
    os.kill(one, signal.SIGKILL)
    site.wait_until(
        lambda: (
            sorted(site.holders().values()) == [2, 2]
            and not any(f"-{one}-" in owner for owner in site.holders())
        ),
        "a new process has the dead one's share",
    )
    parent.kill()
    site.wait_until(lambda: not Path(f"/proc/{other}").exists(), "the parent's processes ended")
    site.wait_until(lambda: site.holders() == {}, "and gave their leases back")


def test_nothing_was_imported_before_gevent_patched_it(site: Site) -> None:
    worker = site.start_worker()
    site.wait_until(lambda: site.holders(), "the worker holds partitions")
    assert worker.stop() == 0
    assert "MonkeyPatchWarning" not in worker.log.read_text()


def test_a_wrong_command_line_says_what_is_wrong(site: Site) -> None:
    worker = site.start_worker("--pipelines", "no_such_module")
    site.wait_until(lambda: not worker.running, "the formatter refused to start")
    assert "there is no such module" in worker.log.read_text()
