"""A lease is of one life of Redis: a Redis that was set back may have jobs again that its holder
has passed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from pushgate import Event, Keys, LeaseLost, RedisJobQueue, connect
from pushgate.control import Control
from pushgate.job_queue import FROM_THE_START, partition_of
from pushgate.leases import RELAY
from stack.redis_server import RedisServer

pytestmark = pytest.mark.real_redis

KEYS = Keys("lives")
PARTITIONS = 2
LONG_SECONDS = 600


@pytest.fixture
def client(own_redis: RedisServer) -> Iterator[redis.Redis]:
    with connect(own_redis.url) as client:
        yield client


def test_whoever_held_a_lease_before_a_restart_asks_anew_and_reads_from_the_start(
    own_redis: RedisServer, client: redis.Redis
) -> None:
    queue = RedisJobQueue(client, KEYS, PARTITIONS)
    event = Event("comment.created", ("thread:1",), {})
    name = str(partition_of(event.key, PARTITIONS))
    lease = queue.leases.acquire(name, "worker-1", LONG_SECONDS)
    assert lease is not None
    queue.put(event)
    (job,) = queue.claim(lease, FROM_THE_START, 10)
    own_redis.kill()
    own_redis.start()
    assert not queue.leases.renew(lease)
    with pytest.raises(LeaseLost):
        queue.claim(lease, job.entry_id, 10)
    anew = queue.leases.acquire(name, "worker-2", LONG_SECONDS)
    assert anew is not None and anew.token > lease.token
    assert queue.leases.acquire(name, "worker-1", LONG_SECONDS) is None
    (again,) = queue.claim(anew, FROM_THE_START, 10)
    assert (again.entry_id, again.attempts) == (job.entry_id, 2)


def test_one_who_may_not_ask_which_life_it_is_holds_a_lease_all_the_same(
    own_redis: RedisServer, client: redis.Redis
) -> None:
    client.acl_setuser("blind", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-info"])
    with connect(own_redis.url.replace("redis://", "redis://blind:any@")) as blind:
        queue = RedisJobQueue(blind, KEYS, PARTITIONS)
        lease = queue.leases.acquire(RELAY, "first", LONG_SECONDS)
        assert lease is not None and queue.leases.renew(lease)
        assert queue.leases.acquire(RELAY, "second", LONG_SECONDS) is None


def test_the_owner_can_be_read_off_a_lease(client: redis.Redis) -> None:
    RedisJobQueue(client, KEYS, PARTITIONS).leases.acquire(RELAY, "host:1:ab", LONG_SECONDS)
    assert Control(client, KEYS, PARTITIONS).relay_holder() == "host:1:ab"
