"""What a Redis Cluster does to its clients, and Pushgate's do not mind."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from django_hooks.wake import wake_relay
from formatter.append_only_file import AppendOnlyFile
from formatter.pipelines_check import Findings
from formatter.redis_check import check_redis
from pushgate import (
    Control,
    Event,
    Finished,
    Keys,
    Lease,
    LeaseLost,
    Leases,
    Ledger,
    RedisJobQueue,
    RedisLog,
    Tracer,
    connect,
    frame_of,
    publish_straight,
    read_ledger,
)
from pushgate.job_queue import FROM_THE_START, partition_of
from pushgate.positions import Positions, lease_name
from pushgate.publisher_control import PublisherControl
from pushgate.tracer import data_of
from stack.platform import REPOSITORY
from stack.process import Process, wait_until
from stack.redis_cluster import NODES, RedisCluster
from tests.imbalances import imbalances

PARTITIONS = 4

LONG_SECONDS = 600

pytestmark = pytest.mark.real_redis


@pytest.fixture
def client(redis_cluster: RedisCluster) -> Iterator[redis.Redis]:
    with connect(redis_cluster.url) as client:
        yield client


def comment(number: int) -> Event:
    return Event("comment.created", ("thread:1", "forum:7"), {"id": number})


def put_at_last(queue: RedisJobQueue, event: Event) -> None:
    """Puts an event, again and again while the cluster cannot take it; that is harmless."""

    def is_put() -> bool:
        try:
            queue.put(event)
        except redis.RedisError:
            return False
        return True

    wait_until(is_put, 60, "the cluster takes events")


def test_all_of_a_namespace_moves_and_is_followed(
    redis_cluster: RedisCluster, client: redis.Redis, keys: Keys
) -> None:
    queue, log = RedisJobQueue(client, keys, PARTITIONS), RedisLog(client, keys)
    began = log.cursor()
    events = [comment(number) for number in range(2 * NODES)]

    def acquired() -> Lease:
        """From the node that has the namespace now: a lease of another is none there."""
        name = str(partition_of(events[0].key, PARTITIONS))
        lease = queue.leases.acquire(name, "worker", LONG_SECONDS)
        assert lease is not None
        return lease

    position = FROM_THE_START
    for number, event in enumerate(events):
        queue.put(event)
        home = redis_cluster.node_of(keys.log)
        redis_cluster.move(keys.log, to=(home + 1) % NODES)
        if number % 2:
            lease = acquired()
            (*_, job) = queue.claim(lease, position, 10)
            position = job.entry_id
            redis_cluster.move(keys.log, to=home)
            done = [Finished(position, (frame_of(event),))]
            with pytest.raises(LeaseLost):
                queue.finish(lease, done)
            queue.finish(acquired(), done)
    frames = [entry.frame for entry in log.after(began.entry_id, 100)]
    ids = [data_of(frame)["event_id"] for frame in frames]
    assert ids == [event.id for event in events[1::2]]
    assert len(log.history("forum:7", began).entries) == NODES
    ledger = read_ledger(client, keys)
    assert (ledger.accepted, ledger.published, ledger.queued) == (2 * NODES, NODES, NODES)


def test_who_waits_while_the_namespace_moves_finds_what_comes(
    redis_cluster: RedisCluster, client: redis.Redis, keys: Keys
) -> None:
    queue = RedisJobQueue(client, keys, PARTITIONS)
    event = comment(1)
    name = str(partition_of(event.key, PARTITIONS))
    queue.put(comment(0))
    there: Any = client.xrange(keys.jobs(int(name)))
    last = there[-1][0].decode()
    found: set[str] = set()
    home = redis_cluster.node_of(keys.log)

    def wait() -> None:
        while not found:
            found.update(queue.wait({name: last}, 1))

    with redis_cluster.client_of(home) as node:
        waiter = threading.Thread(target=wait)
        waiter.start()
        wait_until(lambda: node.info("clients")["blocked_clients"], 60, "somebody waits")
        redis_cluster.move(keys.log, to=(home + 1) % NODES)
        queue.put(event)
        waiter.join(10)
    assert found == {name}


def test_every_reader_and_writer_works(client: redis.Redis, keys: Keys) -> None:
    queue = RedisJobQueue(client, keys, PARTITIONS)
    control, tracer = Control(client, keys, PARTITIONS), Tracer(client, keys, PARTITIONS)
    queued, dead, published = comment(1), comment(2), comment(3)
    queue.put(dead)
    name = str(partition_of(dead.key, PARTITIONS))
    lease = queue.leases.acquire(name, "worker", LONG_SECONDS)
    assert lease is not None
    (job,) = queue.claim(lease, FROM_THE_START, 10)
    queue.bury(lease, job.entry_id, "no")
    queue.put(queued)
    publish_straight(client, keys, published)
    assert [sighting.place for sighting in tracer.find(queued.id)] == ["queue"]
    assert [sighting.place for sighting in tracer.find(dead.id)] == ["dead letters"]
    (sighting,) = tracer.find(published.id)
    assert sighting.histories == published.channels
    assert tracer.put_at(queued.id) is not None
    assert [state.jobs for state in control.partitions() if state.jobs] == [1]
    (letter,) = control.dead_letters()
    assert control.retry_dead_letters([letter.entry_id]) == 1
    control.pause(1)
    assert queue.paused() == {"1"}
    assert control.ledger().balances


def test_publishers_follow_the_log_and_are_seen(client: redis.Redis, keys: Keys) -> None:
    positions, control = Positions(client, keys), PublisherControl(client, keys)
    lease = Leases(client, keys).acquire(lease_name("hook"), "process", LONG_SECONDS)
    assert lease is not None
    position = positions.begin(lease, "hook")
    publish_straight(client, keys, comment(1))
    assert positions.wait(position.cursor.entry_id, 1)
    (state,) = control.states()
    assert (state.name, state.holder, state.behind) == ("hook", "process", 1)


def test_check_config_can_look_at_it(client: redis.Redis, keys: Keys) -> None:
    findings = Findings()
    check_redis(client, keys, PARTITIONS, findings)
    assert findings == Findings()


def test_the_file_of_the_node_that_has_the_namespace_is_written_anew(
    redis_cluster: RedisCluster, client: redis.Redis, keys: Keys
) -> None:
    node: Any = client
    home = node.get_node_from_key(keys.log)

    def rewrites() -> int:
        facts: dict[str, int] = node.info("persistence", target_nodes=home)
        return facts["aof_rewrites"]

    before = rewrites()
    assert AppendOnlyFile(client, keys).look() == (before == 0)
    wait_until(rewrites, 10, "it is written anew")


def test_the_relay_is_woken(client: redis.Redis, keys: Keys) -> None:
    wake_relay(client, keys.relay_wake)
    wake_relay(client, keys.relay_wake)
    assert client.blpop([keys.relay_wake], timeout=1)
    assert client.llen(keys.relay_wake) == 0


def test_formatters_work_while_the_namespace_moves(
    redis_cluster: RedisCluster, client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    queue, log = RedisJobQueue(client, keys, PARTITIONS), RedisLog(client, keys)
    began = log.cursor()
    worker = Process(
        "formatter",
        [sys.executable, "-m", "formatter", "--pipelines", "tests.integration.formatter_pipelines"],
        log=tmp_path / "formatter.log",
        directory=REPOSITORY,
        environment={
            **os.environ,
            "PUSHGATE_REDIS_URL": redis_cluster.url,
            "PUSHGATE_NAMESPACE": keys.namespace,
            "PUSHGATE_PARTITIONS": str(PARTITIONS),
        },
    )
    worker.start()
    events = [
        Event("comment.created", (f"thread:{number % 7}",), {"number": number})
        for number in range(300)
    ]
    try:
        for number, event in enumerate(events):
            if number % 50 == 49:
                redis_cluster.move(keys.log, to=(redis_cluster.node_of(keys.log) + 1) % NODES)
            put_at_last(queue, event)
        wait_until(lambda: not read_ledger(client, keys).queued, 60, "all is published")
        assert worker.stop() == 0
    finally:
        worker.stop()
    for channel in {event.key for event in events}:
        found = [
            data_of(entry.frame)["number"]
            for entry in log.after(began.entry_id, 1000)
            if entry.channels == (channel,)
        ]
        assert found == [event.data["number"] for event in events if event.key == channel]
    # Each node gives leases of its own, so a write in the moment of a move may be refused.
    ledger = replace(read_ledger(client, keys), refused=0)
    assert ledger == Ledger(put=300, published=300, frames=300)
    assert imbalances(client, keys, PARTITIONS) == []


def test_it_connects_at_the_first_command_and_says_what_is_wrong() -> None:
    with connect("redis+cluster://127.0.0.1:1,127.0.0.1:2") as client:
        for _ in range(2):
            with pytest.raises(redis.ConnectionError, match="nodes cannot be found.*refused"):
                client.ping()


def test_a_single_redis_is_no_cluster(redis_client: redis.Redis) -> None:
    at = redis_client.connection_pool.connection_kwargs
    with (
        connect(f"redis+cluster://{at['host']}:{at['port']}") as client,
        pytest.raises(redis.ConnectionError, match="Cluster mode is not enabled"),
    ):
        client.get("x")


def test_a_node_that_dies_is_an_error_as_of_a_single_redis_until_it_is_back(
    redis_cluster: RedisCluster, client: redis.Redis, keys: Keys
) -> None:
    queue = RedisJobQueue(client, keys, PARTITIONS)
    queue.put(comment(1))
    node = redis_cluster.nodes[redis_cluster.node_of(keys.log)]
    node.kill()
    try:
        with pytest.raises(redis.RedisError):
            queue.put(comment(2))
        with pytest.raises(redis.RedisError), client.pipeline(transaction=False) as together:
            together.get(keys.epoch)
            together.execute()
    finally:
        node.start()
    put_at_last(queue, comment(3))
    assert read_ledger(client, keys).accepted == 2
