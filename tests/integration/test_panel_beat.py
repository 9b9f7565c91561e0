"""The beat beside the relay: it tells open panels of changes, and says nothing else."""

from __future__ import annotations

import pytest
import redis

from django_hooks.panel.live import CHANNEL, Beat
from pushgate import Control, Event, Keys, Leases, RedisJobQueue, RedisLog, read_ledger

pytestmark = pytest.mark.real_redis


@pytest.fixture
def beat(redis_client: redis.Redis, keys: Keys) -> Beat:
    """The beat of a relay that leads, while somebody looks."""
    assert Leases(redis_client, keys).acquire("relay", "relay-1", 60)
    Control(redis_client, keys, 4).watch()
    return Beat(redis_client, keys, 4, "relay-1")


def test_a_change_is_told_once(redis_client: redis.Redis, keys: Keys, beat: Beat) -> None:
    assert beat.turn()
    assert not beat.turn()
    RedisJobQueue(redis_client, keys, 4).put(Event("comment.created", ("thread:1",), {}))
    assert beat.turn()
    assert not beat.turn()
    Control(redis_client, keys, 4).pause(1)
    assert beat.turn()
    assert not beat.turn()
    assert {entry.channels for entry in RedisLog(redis_client, keys).after("0-0", 10)} == {
        (CHANNEL,)
    }
    assert read_ledger(redis_client, keys).balances


def test_nothing_is_said_while_nobody_looks(
    redis_client: redis.Redis, keys: Keys, beat: Beat
) -> None:
    redis_client.delete(keys.watched)
    assert not beat.turn()
    assert RedisLog(redis_client, keys).after("0-0", 10) == []


def test_nothing_is_said_beside_a_relay_that_stands_by(
    redis_client: redis.Redis, keys: Keys, beat: Beat
) -> None:
    assert not Beat(redis_client, keys, 4, "relay-2").turn()
    assert beat.turn()
