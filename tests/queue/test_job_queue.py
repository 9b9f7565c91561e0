"""What the job queue promises, on Redis and in memory."""

from __future__ import annotations

import threading

import pytest

from pushgate import Event, Finished, InvalidEvent, Lease, LeaseLost, MarkMoved, Outcome, QueueFull
from pushgate.frames import Frame, frame_of
from pushgate.job_queue import FROM_THE_START, ForwardedRow, partition_of
from pushgate.leases import Attendance
from stack.process import wait_until
from tests.queue.conftest import LIMIT, QueueUnderTest

LONG_SECONDS = 600
"""No lease runs out because the machine is slow."""


def comment(number: int, channel: str = "thread:1") -> Event:
    return Event("comment.created", (channel,), {"id": number})


def forwarded(number: int) -> ForwardedRow:
    event = comment(number)
    return f"0-{number}", event.key, event.to_json()


def holder_of(under_test: QueueUnderTest, event: Event, owner: str = "worker-1") -> Lease:
    name = str(partition_of(event.key, under_test.queue.partitions))
    lease = under_test.queue.leases.acquire(name, owner, LONG_SECONDS)
    assert lease is not None
    return lease


def test_jobs_are_claimed_in_the_order_they_were_put(under_test: QueueUnderTest) -> None:
    events = [comment(n) for n in range(10)]
    for event in events:
        assert under_test.queue.put(event)
    lease = holder_of(under_test, events[0])
    jobs = under_test.queue.claim(lease, FROM_THE_START, 100)
    assert [job.event() for job in jobs] == events
    assert [job.attempts for job in jobs] == [1] * 10


def test_a_claim_goes_on_behind_the_entry_it_is_told(under_test: QueueUnderTest) -> None:
    for n in range(5):
        under_test.queue.put(comment(n))
    lease = holder_of(under_test, comment(0))
    first = under_test.queue.claim(lease, FROM_THE_START, 2)
    rest = under_test.queue.claim(lease, first[-1].entry_id, 100)
    assert [job.event().data["id"] for job in first + rest] == [0, 1, 2, 3, 4]


def test_a_partition_that_is_taken_back_begins_anew(under_test: QueueUnderTest) -> None:
    for n in range(3):
        under_test.queue.put(comment(n))
    lease = holder_of(under_test, comment(0))
    (first, *_) = under_test.queue.claim(lease, FROM_THE_START, 2)
    under_test.queue.take_back_partitions()
    with pytest.raises(LeaseLost):
        under_test.queue.claim(lease, first.entry_id, 2)
    with pytest.raises(LeaseLost):
        under_test.queue.finish(lease, [Finished(first.entry_id, ())])
    successor = holder_of(under_test, comment(0), "worker-2")
    jobs = under_test.queue.claim(successor, FROM_THE_START, 10)
    assert [job.event().data["id"] for job in jobs] == [0, 1, 2]


def test_an_event_put_twice_is_there_once(under_test: QueueUnderTest) -> None:
    event = comment(1)
    assert under_test.queue.put(event) is True
    assert under_test.queue.put(event) is False
    lease = holder_of(under_test, event)
    assert len(under_test.queue.claim(lease, FROM_THE_START, 10)) == 1
    assert under_test.ledger().accepted == 1


def test_a_full_partition_refuses_and_keeps_what_it_has(under_test: QueueUnderTest) -> None:
    for n in range(LIMIT):
        under_test.queue.put(comment(n))
    refused = comment(LIMIT)
    with pytest.raises(QueueFull, match=str(LIMIT)):
        under_test.queue.put(refused)
    lease = holder_of(under_test, refused)
    jobs = under_test.queue.claim(lease, FROM_THE_START, 1000)
    assert len(jobs) == LIMIT
    under_test.queue.finish(lease, [Finished(jobs[0].entry_id)])
    assert under_test.queue.put(refused), "a refused event may be put again once there is room"


def test_finish_publishes_deletes_and_books_in_one_step(under_test: QueueUnderTest) -> None:
    before = under_test.log.cursor()
    event = Event("comment.created", ("thread:1", "forum:7"), {"id": 1})
    under_test.queue.put(event)
    lease = holder_of(under_test, event)
    (job,) = under_test.queue.claim(lease, FROM_THE_START, 10)
    frame = frame_of(event)
    assert under_test.queue.finish(lease, [Finished(job.entry_id, (frame,))]) == 1
    (entry,) = under_test.log.after(before.entry_id, 10)
    assert entry.channels == ("thread:1", "forum:7")
    assert entry.frame == frame.data
    for channel in entry.channels:
        assert under_test.log.history(channel, before).entries == (entry,)
    assert under_test.queue.claim(lease, FROM_THE_START, 10) == []
    ledger = under_test.ledger()
    assert (ledger.accepted, ledger.published, ledger.queued) == (1, 1, 0)
    assert ledger.balances


def test_a_job_finished_twice_is_published_once(under_test: QueueUnderTest) -> None:
    before = under_test.log.cursor()
    event = comment(1)
    under_test.queue.put(event)
    lease = holder_of(under_test, event)
    (job,) = under_test.queue.claim(lease, FROM_THE_START, 10)
    finished = Finished(job.entry_id, (frame_of(event),))
    assert under_test.queue.finish(lease, [finished]) == 1
    assert under_test.queue.finish(lease, [finished]) == 0
    assert len(under_test.log.after(before.entry_id, 10)) == 1
    assert under_test.ledger().balances


def test_a_batch_is_published_in_its_order(under_test: QueueUnderTest) -> None:
    before = under_test.log.cursor()
    for n in range(LIMIT):
        under_test.queue.put(comment(n))
    lease = holder_of(under_test, comment(0))
    jobs = under_test.queue.claim(lease, FROM_THE_START, 100)
    finished = [Finished(job.entry_id, (frame_of(job.event()),)) for job in jobs]
    assert under_test.queue.finish(lease, finished) == LIMIT
    frames = [entry.frame for entry in under_test.log.after(before.entry_id, 100)]
    assert frames == [done.frames[0].data for done in finished]


def test_a_suppressed_job_leaves_no_frame_and_is_booked(under_test: QueueUnderTest) -> None:
    before = under_test.log.cursor()
    under_test.queue.put(comment(1))
    lease = holder_of(under_test, comment(1))
    (job,) = under_test.queue.claim(lease, FROM_THE_START, 10)
    under_test.queue.finish(lease, [Finished(job.entry_id, (), Outcome.SUPPRESSED)])
    assert under_test.log.after(before.entry_id, 10) == []
    assert under_test.ledger().suppressed == 1
    assert under_test.ledger().balances


def test_a_lease_is_held_by_one_owner_at_a_time(under_test: QueueUnderTest) -> None:
    first = under_test.queue.leases.acquire("0", "worker-1")
    assert first is not None
    assert under_test.queue.leases.acquire("0", "worker-2") is None
    assert under_test.queue.leases.renew(first)
    assert under_test.queue.leases.release(first)
    second = under_test.queue.leases.acquire("0", "worker-2")
    assert second is not None
    assert second.token > first.token
    assert not under_test.queue.leases.renew(first)
    assert not under_test.queue.leases.release(first)


def test_a_zombie_can_do_nothing(under_test: QueueUnderTest) -> None:
    before = under_test.log.cursor()
    event = comment(1)
    under_test.queue.put(event)
    zombie = holder_of(under_test, event, "zombie")
    (job,) = under_test.queue.claim(zombie, FROM_THE_START, 10)
    under_test.expire(zombie)
    successor = holder_of(under_test, event, "successor")
    finished = [Finished(job.entry_id, (frame_of(event),))]
    with pytest.raises(LeaseLost):
        under_test.queue.finish(zombie, finished)
    with pytest.raises(LeaseLost):
        under_test.queue.claim(zombie, FROM_THE_START, 10)
    with pytest.raises(LeaseLost):
        under_test.queue.bury(zombie, job.entry_id, "no")
    with pytest.raises(LeaseLost):
        under_test.queue.retry(zombie, job.entry_id)
    with pytest.raises(LeaseLost):
        under_test.queue.cancel(zombie, [job.entry_id])
    assert under_test.log.after(before.entry_id, 10) == []
    assert under_test.ledger().refused == 5, "each is counted for operators"
    assert under_test.ledger().balances
    (again,) = under_test.queue.claim(successor, FROM_THE_START, 10)
    assert again.attempts == 2, "the zombie's attempt counts"
    assert under_test.queue.finish(successor, finished) == 1


def test_leases_are_renewed_together_and_each_is_told_of(under_test: QueueUnderTest) -> None:
    leases = under_test.queue.leases
    kept, lost = leases.acquire("0", "worker-1"), leases.acquire("1", "worker-1")
    assert kept is not None
    assert lost is not None
    leases.release(lost)
    assert leases.acquire("1", "worker-2") is not None
    assert leases.renew_all([kept, lost]) == [True, False]
    assert leases.renew_all([]) == []


def test_an_expired_lease_is_nobodys(under_test: QueueUnderTest) -> None:
    lease = holder_of(under_test, comment(1))
    under_test.expire(lease)
    with pytest.raises(LeaseLost):
        under_test.queue.claim(lease, FROM_THE_START, 10)
    assert not under_test.queue.leases.renew(lease)


def test_a_buried_job_is_kept_with_its_reason_and_booked(under_test: QueueUnderTest) -> None:
    under_test.queue.put(comment(1))
    lease = holder_of(under_test, comment(1))
    (job,) = under_test.queue.claim(lease, FROM_THE_START, 10)
    assert under_test.queue.retry(lease, job.entry_id) == 2
    assert under_test.queue.bury(lease, job.entry_id, "data: no such field") is True
    assert under_test.queue.bury(lease, job.entry_id, "data: no such field") is False
    assert under_test.dead() == [(2, "data: no such field")]
    assert under_test.queue.claim(lease, FROM_THE_START, 10) == []
    assert under_test.ledger().dead == 1
    assert under_test.ledger().balances


def test_a_job_given_up_may_leave_a_frame_in_the_same_step(under_test: QueueUnderTest) -> None:
    before = under_test.log.cursor()
    event = Event("comment.created", ("thread:1", "forum:7"), {"id": 1})
    under_test.queue.put(event)
    lease = holder_of(under_test, event)
    (job,) = under_test.queue.claim(lease, FROM_THE_START, 10)
    gone = Frame(event.channels, b"event: gone\ndata: {}\n\n")
    assert under_test.queue.bury(lease, job.entry_id, "no", [gone]) is True
    assert under_test.queue.bury(lease, job.entry_id, "no", [gone]) is False
    (entry,) = under_test.log.after(before.entry_id, 10)
    assert (entry.channels, entry.frame) == (gone.channels, gone.data)
    for channel in event.channels:
        assert under_test.log.history(channel, before).entries == (entry,)
    assert (under_test.ledger().dead, under_test.ledger().published) == (1, 0)


def test_a_claim_given_back_was_never_made(under_test: QueueUnderTest) -> None:
    for n in range(3):
        under_test.queue.put(comment(n))
    lease = holder_of(under_test, comment(0))
    for _ in range(10):
        ended, *jobs = under_test.queue.claim(lease, FROM_THE_START, 10)
        given_back = [job.entry_id for job in jobs]
        assert under_test.queue.cancel(lease, given_back) == 2
    assert [job.attempts for job in jobs] == [1, 1], "ten deploys are no attempt"
    assert ended.attempts == 10
    assert under_test.queue.cancel(lease, given_back) == 2
    assert under_test.queue.finish(lease, [Finished(ended.entry_id)]) == 1
    assert under_test.queue.cancel(lease, [ended.entry_id, *given_back]) == 2
    again = under_test.queue.claim(lease, FROM_THE_START, 10)
    assert [job.attempts for job in again] == [1, 1], "never below none"
    assert under_test.ledger().queued == 2


def test_nothing_given_back_is_nothing_done(under_test: QueueUnderTest) -> None:
    lease = holder_of(under_test, comment(0))
    assert under_test.queue.cancel(lease, []) == 0
    assert under_test.queue.finish(lease, []) == 0


def test_a_job_that_ended_is_not_tried_again(under_test: QueueUnderTest) -> None:
    under_test.queue.put(comment(1))
    lease = holder_of(under_test, comment(1))
    (job,) = under_test.queue.claim(lease, FROM_THE_START, 10)
    assert under_test.queue.retry(lease, job.entry_id) == 2
    under_test.queue.finish(lease, [Finished(job.entry_id)])
    assert under_test.queue.retry(lease, job.entry_id) == 0


def test_attempts_outlive_the_holder(under_test: QueueUnderTest) -> None:
    for n in range(4):
        under_test.queue.put(comment(n))
    for number in range(1, 4):
        lease = holder_of(under_test, comment(0), f"worker-{number}")
        jobs = under_test.queue.claim(lease, FROM_THE_START, 2)
        assert [job.attempts for job in jobs] == [number, number]
        under_test.expire(lease)
    lease = holder_of(under_test, comment(0), "worker-4")
    jobs = under_test.queue.claim(lease, FROM_THE_START, 10)
    assert [job.attempts for job in jobs] == [4, 4, 1, 1]


def test_the_relays_rows_and_its_mark_move_together(under_test: QueueUnderTest) -> None:
    relay = under_test.queue.leases.acquire("relay", "relay-1", LONG_SECONDS)
    assert relay is not None
    rows = [forwarded(n) for n in range(1, 6)]
    assert under_test.queue.mark("default") == ""
    assert under_test.queue.forward(relay, "default", "", rows[:3]) == 3
    assert under_test.queue.mark("default") == "0-3"
    with pytest.raises(MarkMoved) as moved:
        under_test.queue.forward(relay, "default", "", rows[:3])
    assert moved.value.mark == "0-3"
    assert under_test.queue.forward(relay, "default", "0-3", rows[3:]) == 2
    assert under_test.queue.mark("other") == ""
    lease = holder_of(under_test, comment(1))
    jobs = under_test.queue.claim(lease, FROM_THE_START, 100)
    assert [job.event().data["id"] for job in jobs] == [1, 2, 3, 4, 5]
    assert under_test.ledger().accepted == 5


def test_a_relay_that_lost_its_lease_appends_nothing(under_test: QueueUnderTest) -> None:
    relay = under_test.queue.leases.acquire("relay", "relay-1", LONG_SECONDS)
    assert relay is not None
    under_test.expire(relay)
    assert under_test.queue.leases.acquire("relay", "relay-2") is not None
    with pytest.raises(LeaseLost):
        under_test.queue.forward(relay, "default", "", [forwarded(1)])
    assert under_test.ledger().refused == 1
    assert under_test.queue.mark("default") == ""
    assert under_test.ledger().accepted == 0


def test_a_full_partition_stops_the_relay_at_the_row_before(under_test: QueueUnderTest) -> None:
    relay = under_test.queue.leases.acquire("relay", "relay-1", LONG_SECONDS)
    assert relay is not None
    rows = [forwarded(n) for n in range(1, LIMIT + 6)]
    assert under_test.queue.forward(relay, "default", "", rows) == LIMIT
    assert under_test.queue.mark("default") == f"0-{LIMIT}"
    assert under_test.queue.forward(relay, "default", f"0-{LIMIT}", rows[LIMIT:]) == 0
    assert under_test.queue.mark("default") == f"0-{LIMIT}"
    assert under_test.ledger().accepted == LIMIT


def test_waiting_ends_when_a_job_comes(under_test: QueueUnderTest) -> None:
    event = comment(1)
    positions = {str(n): FROM_THE_START for n in range(4)}
    assert under_test.queue.wait(positions, 0) == set()
    assert under_test.queue.wait(positions, 0.01) == set()
    putter = threading.Thread(target=under_test.queue.put, args=[event])
    putter.start()
    found = under_test.queue.wait(positions, 2)
    putter.join()
    assert found == {str(partition_of(event.key, 4))}


def test_waiting_does_not_see_jobs_before_its_position(under_test: QueueUnderTest) -> None:
    event = comment(1)
    under_test.queue.put(event)
    lease = holder_of(under_test, event)
    (job,) = under_test.queue.claim(lease, FROM_THE_START, 10)
    assert under_test.queue.wait({lease.name: FROM_THE_START}, 0) == {lease.name}
    assert under_test.queue.wait({lease.name: job.entry_id}, 0) == set()


def test_a_lease_from_before_the_clock_was_put_back_lasts_no_longer_than_any(
    under_test: QueueUnderTest,
) -> None:
    """Nothing else would last so long: those of one name are all asked for with one duration."""
    leases = under_test.queue.leases
    lease = leases.acquire("0", "worker-1", LONG_SECONDS)
    assert lease is not None
    assert leases.acquire("0", "worker-2", 0.05) is None
    wait_until(lambda: leases.acquire("0", "worker-2", 0.05), 10, "it has run out")
    assert not leases.renew(lease)


def test_who_asks_for_a_lease_in_vain_does_not_shorten_it(under_test: QueueUnderTest) -> None:
    leases = under_test.queue.leases
    lease = leases.acquire("0", "worker-1", LONG_SECONDS)
    assert lease is not None
    assert leases.acquire("0", "worker-2", 2 * LONG_SECONDS) is None
    assert leases.renew(lease)


def test_who_was_seen_before_the_clock_was_put_back_and_no_more_is_gone(
    on_a_server: QueueUnderTest,
) -> None:
    leases, keys = on_a_server.queue.leases, on_a_server.keys
    assert on_a_server.client is not None and keys is not None
    assert leases.attend("a") == Attendance(rank=0, live=1)
    on_a_server.client.zincrby(keys.workers, 40_000, "a")
    assert leases.attend("b") == Attendance(rank=1, live=2)
    wait_until(lambda: leases.attend("b", 0.05).live == 1, 10, "the other one is gone")


def test_live_workers_are_counted(under_test: QueueUnderTest) -> None:
    leases = under_test.queue.leases
    assert leases.attend("b") == Attendance(rank=0, live=1)
    assert leases.attend("a") == Attendance(rank=0, live=2)
    assert leases.attend("b") == Attendance(rank=1, live=2)
    leases.leave("a")
    assert leases.attend("b") == Attendance(rank=0, live=1)


@pytest.mark.parametrize("partitions", [1, 8, 1024])
@pytest.mark.parametrize("live", range(1, 20))
def test_shares_are_fair_and_only_shrink_for_who_joins(live: int, partitions: int) -> None:
    shares = [Attendance(rank, live).share(partitions) for rank in range(live)]
    assert sum(shares) == partitions
    assert max(shares) - min(shares) <= 1
    for joined in range(live + 1):
        after = [Attendance(rank, live + 1).share(partitions) for rank in range(live + 1)]
        del after[joined]
        assert all(new <= old for old, new in zip(shares, after, strict=True)), (
            "no partition moves between two that were there and stay"
        )


def test_eight_partitions_for_five_workers(under_test: QueueUnderTest) -> None:
    owners = [f"worker-{n}" for n in range(5)]
    for owner in owners:
        under_test.queue.leases.attend(owner)
    shares = [under_test.queue.leases.attend(owner).share(8) for owner in owners]
    assert shares == [2, 2, 2, 1, 1]


def test_a_job_that_is_no_event_says_why(under_test: QueueUnderTest) -> None:
    under_test.queue.put(comment(1))
    lease = holder_of(under_test, comment(1))
    (job,) = under_test.queue.claim(lease, FROM_THE_START, 10)
    broken = type(job)(job.entry_id, b"{", job.attempts)
    with pytest.raises(InvalidEvent, match="must be JSON"):
        broken.event()
