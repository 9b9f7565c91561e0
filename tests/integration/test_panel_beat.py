"""The beat beside the relay: it tells open panels of changes, and says nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from django_hooks.panel.live import CHANNEL, Beat
from pushgate import Control, Event, Keys, Leases, RedisJobQueue, RedisLog, connect, read_ledger
from stack.redis_server import RedisServer

pytestmark = pytest.mark.real_redis


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with connect(redis_server.url) as client:
        yield client


@pytest.fixture
def keys(redis_namespace: str) -> Keys:
    return Keys(redis_namespace)


@pytest.fixture
def beat(client: redis.Redis, keys: Keys) -> Beat:
    """The beat of a relay that leads, while somebody looks."""
    assert Leases(client, keys).acquire("relay", "relay-1", 60)
    Control(client, keys, 4).watch()
    return Beat(client, keys, 4, "relay-1")


def test_a_change_is_told_once(client: redis.Redis, keys: Keys, beat: Beat) -> None:
    assert beat.turn()
    assert not beat.turn()
    RedisJobQueue(client, keys, 4).put(Event("comment.created", ("thread:1",), {}))
    assert beat.turn()
    assert not beat.turn()
    Control(client, keys, 4).pause(1)
    assert beat.turn()
    assert not beat.turn()
    assert {entry.channels for entry in RedisLog(client, keys).after("0-0", 10)} == {(CHANNEL,)}
    assert read_ledger(client, keys).balances


def test_nothing_is_said_while_nobody_looks(client: redis.Redis, keys: Keys, beat: Beat) -> None:
    client.delete(keys.watched)
    assert not beat.turn()
    assert RedisLog(client, keys).after("0-0", 10) == []


def test_nothing_is_said_beside_a_relay_that_stands_by(
    client: redis.Redis, keys: Keys, beat: Beat
) -> None:
    assert not Beat(client, keys, 4, "relay-2").turn()
    assert beat.turn()
