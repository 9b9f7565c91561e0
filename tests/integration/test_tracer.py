"""Where an event is, on a real Redis."""

from __future__ import annotations

import pytest
import redis

from pushgate import Event, Finished, Keys, Lease, RedisJobQueue, Tracer, frame_of
from pushgate import tracer as tracer_module
from pushgate.job_queue import FROM_THE_START, Job, partition_of

PARTITIONS = 4

pytestmark = pytest.mark.real_redis


@pytest.fixture
def queue(redis_client: redis.Redis, keys: Keys) -> RedisJobQueue:
    return RedisJobQueue(redis_client, keys, PARTITIONS)


@pytest.fixture
def tracer(redis_client: redis.Redis, keys: Keys) -> Tracer:
    return Tracer(redis_client, keys, PARTITIONS)


def comment(version: int = 1, name: str = "threads.comment:1") -> Event:
    return Event("comment.created", ("thread:1", "forum:7"), {}, object=name, version=version)


def claim(queue: RedisJobQueue, event: Event) -> tuple[Lease, Job]:
    lease = queue.leases.acquire(str(partition_of(event.key, PARTITIONS)), "worker-1")
    assert lease is not None
    return lease, queue.claim(lease, FROM_THE_START, 1)[0]


def publish(queue: RedisJobQueue, event: Event) -> None:
    queue.put(event)
    lease, job = claim(queue, event)
    queue.finish(lease, [Finished(job.entry_id, (frame_of(event),))])
    queue.leases.release(lease)


def test_an_event_is_found_on_the_queue_with_its_claims(
    queue: RedisJobQueue, tracer: Tracer
) -> None:
    event = comment()
    assert tracer.find(event.id) == []
    queue.put(comment())
    queue.put(event)
    (sighting,) = tracer.find(event.id)
    partition = str(partition_of(event.key, PARTITIONS))
    assert (sighting.place, sighting.where, sighting.attempts) == ("queue", partition, 0)
    assert sighting.event == event
    assert sighting.queued_at == sighting.at
    lease, _ = claim(queue, event)
    queue.claim(lease, FROM_THE_START, 10)
    assert tracer.find(event.id)[0].attempts == 1


def test_an_event_is_found_among_the_dead_letters(queue: RedisJobQueue, tracer: Tracer) -> None:
    event = comment()
    queue.put(event)
    lease, job = claim(queue, event)
    queue.bury(lease, job.entry_id, "the template is missing")
    (sighting,) = tracer.find(event.id)
    assert (sighting.place, sighting.attempts) == ("dead letters", 1)
    assert sighting.reason == "the template is missing"
    assert sighting.queued_at is not None
    assert sighting.queued_at <= sighting.at


def test_an_event_is_found_in_the_log_and_the_histories(
    queue: RedisJobQueue, tracer: Tracer, redis_client: redis.Redis, keys: Keys
) -> None:
    event = comment()
    publish(queue, event)
    (sighting,) = tracer.find(event.id)
    assert (sighting.place, sighting.where) == ("log", "thread:1 forum:7")
    assert sighting.histories == ("thread:1", "forum:7")
    redis_client.delete(keys.channel("forum:7"))
    assert tracer.find(event.id)[0].histories == ("thread:1",)
    assert tracer.log_begins_at() == sighting.at


def test_an_id_inside_anothers_data_is_not_the_event(queue: RedisJobQueue, tracer: Tracer) -> None:
    event = comment()
    queue.put(Event("reply.created", ("thread:1",), {"to": event.id}))
    assert tracer.find(event.id) == []


def test_long_streams_are_read_to_their_end(
    queue: RedisJobQueue, tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracer_module, "PAGE_ENTRIES", 2)
    events = [comment(number) for number in range(5)]
    for event in events:
        queue.put(event)
    assert [len(tracer.find(event.id)) for event in events] == [1] * 5
    assert tracer.last_of("threads.comment:1") == events[-1].id


def test_the_last_event_of_an_object_is_found_wherever_it_is(
    queue: RedisJobQueue, tracer: Tracer
) -> None:
    assert tracer.last_of("threads.comment:1") == ""
    first, second, other = comment(1), comment(2), comment(9, "threads.comment:11")
    publish(queue, first)
    publish(queue, other)
    assert tracer.last_of("threads.comment:1") == first.id
    queue.put(second)
    assert tracer.last_of("threads.comment:1") == second.id


def test_when_an_event_was_put_is_known_for_a_while(
    queue: RedisJobQueue, tracer: Tracer, redis_client: redis.Redis, keys: Keys
) -> None:
    event = comment()
    assert tracer.put_at(event.id) is None
    queue.put(event)
    put_at = tracer.put_at(event.id)
    assert put_at is not None
    (sighting,) = tracer.find(event.id)
    assert abs((put_at - sighting.at).total_seconds()) < 1
    redis_client.delete(keys.put(event.id))
    assert tracer.put_at(event.id) is None
