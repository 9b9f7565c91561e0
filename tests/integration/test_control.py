"""The operator's view of the queue, on a real Redis."""

from __future__ import annotations

import pytest
import redis

from pushgate import Control, Event, Keys, Lease, RedisJobQueue
from pushgate.job_queue import FROM_THE_START, partition_of

PARTITIONS = 4

pytestmark = pytest.mark.real_redis


@pytest.fixture
def queue(redis_client: redis.Redis, keys: Keys) -> RedisJobQueue:
    return RedisJobQueue(redis_client, keys, PARTITIONS)


@pytest.fixture
def control(redis_client: redis.Redis, keys: Keys) -> Control:
    return Control(redis_client, keys, PARTITIONS)


def comment(number: int = 1) -> Event:
    return Event("comment.created", ("thread:1", "forum:7"), {"id": number})


def lease_of(queue: RedisJobQueue, event: Event) -> Lease:
    lease = queue.leases.acquire(str(partition_of(event.key, PARTITIONS)), "worker-1")
    assert lease is not None
    return lease


def bury(queue: RedisJobQueue, event: Event, reason: str = "no") -> None:
    queue.put(event)
    lease = lease_of(queue, event)
    (job,) = queue.claim(lease, FROM_THE_START, 10)
    assert queue.bury(lease, job.entry_id, reason)
    queue.leases.release(lease)


def test_each_partition_says_its_depth_its_age_and_who_works_it(
    queue: RedisJobQueue, control: Control
) -> None:
    assert [state.jobs for state in control.partitions()] == [0] * PARTITIONS
    queue.put(comment(1))
    queue.put(comment(2))
    lease = lease_of(queue, comment())
    states = control.partitions()
    (busy,) = [state for state in states if state.jobs]
    assert (str(busy.partition), busy.jobs, busy.holder) == (lease.name, 2, "worker-1")
    assert busy.oldest_at is not None
    assert [state.holder for state in states if state is not busy] == [""] * (PARTITIONS - 1)


def test_a_pause_is_seen_by_the_workers_and_taken_back(
    queue: RedisJobQueue, control: Control
) -> None:
    control.pause(2)
    assert queue.paused() == {"2"}
    assert [state.paused for state in control.partitions()] == [False, False, True, False]
    control.resume(2)
    assert queue.paused() == set()
    with pytest.raises(ValueError, match="partition 4: use 0 to 3"):
        control.pause(4)


def test_dead_letters_are_shown_the_newest_first_a_page_at_a_time(
    queue: RedisJobQueue, control: Control
) -> None:
    for number in range(5):
        bury(queue, comment(number), f"reason {number}")
    assert control.count_dead_letters() == 5
    first = control.dead_letters(3)
    rest = control.dead_letters(3, before=first[-1].entry_id)
    assert [letter.reason for letter in first + rest] == [f"reason {n}" for n in range(4, -1, -1)]
    event = first[0].event()
    assert event is not None
    assert event.data["id"] == 4
    assert first[0].attempts == 1


def test_a_dead_letter_retried_is_a_job_again_and_the_books_balance(
    queue: RedisJobQueue, control: Control
) -> None:
    bury(queue, comment())
    (letter,) = control.dead_letters()
    assert control.retry_dead_letters([letter.entry_id]) == 1
    assert control.retry_dead_letters([letter.entry_id]) == 0
    assert control.count_dead_letters() == 0
    ledger = control.ledger()
    assert (ledger.dead, ledger.queued) == (0, 1)
    assert ledger.balances
    (job,) = queue.claim(lease_of(queue, comment()), FROM_THE_START, 10)
    assert job.attempts == 1
    assert job.body == letter.body


def test_a_dead_letter_discarded_is_gone_and_still_booked(
    queue: RedisJobQueue, control: Control
) -> None:
    bury(queue, comment())
    (letter,) = control.dead_letters()
    assert control.discard_dead_letters([letter.entry_id]) == 1
    assert control.discard_dead_letters([letter.entry_id]) == 0
    assert control.discard_dead_letters([]) == 0
    assert control.dead_letter(letter.entry_id) is None
    assert control.ledger().dead == 1
    assert control.ledger().balances


def test_a_dead_letter_says_when_it_was_queued(queue: RedisJobQueue, control: Control) -> None:
    bury(queue, comment(1))
    (letter,) = control.dead_letters()
    assert letter.queued_at <= letter.buried_at
    assert control.count_dead_letters_after("0-0") == 1
    assert control.count_dead_letters_after(letter.entry_id) == 0


def test_the_relays_leader_and_marks_are_seen(queue: RedisJobQueue, control: Control) -> None:
    assert control.relay_holder() == ""
    lease = queue.leases.acquire("relay", "relay-1")
    assert lease is not None
    event = comment()
    queue.forward(lease, "default:1", "", [("7", event.key, event.to_json())])
    assert control.relay_holder() == "relay-1"
    assert control.relay_marks() == {"default:1": "7"}
