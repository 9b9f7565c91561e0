"""Revocations, in Redis and in memory."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pushgate import InvalidChannel, Keys, connect
from pushgate.revocation import (
    CLOCKS_DIFFER_SECONDS,
    LONGEST_TOKEN_SECONDS,
    MemoryRevocations,
    RedisRevocations,
    Revocation,
    Revocations,
    check_grant,
    may_open,
)
from stack.redis_server import RedisServer
from tests.queue.conftest import IN_MEMORY, ON_SERVERS, url_of

GOLDEN = Path(__file__).parent.parent / "golden" / "revocations.json"


@pytest.fixture(params=[IN_MEMORY, *ON_SERVERS])
def revocations(request: pytest.FixtureRequest, redis_namespace: str) -> Iterator[Revocations]:
    if request.param == IN_MEMORY:
        yield MemoryRevocations()
        return
    with connect(url_of(request, request.param)) as client:
        yield RedisRevocations(client, Keys(redis_namespace))


def test_a_users_tokens_are_void_and_later_ones_are_not(revocations: Revocations) -> None:
    made_before = time.time()
    revocations.revoke_user("7")
    made_after = time.time() + CLOCKS_DIFFER_SECONDS + 0.001
    found = revocations.all()
    assert not may_open(found, "7", "thread:1", made_before)
    assert may_open(found, "7", "thread:1", made_after)
    assert may_open(found, "8", "thread:1", made_before)


def test_a_channel_is_closed_to_all_tokens_there_are(revocations: Revocations) -> None:
    made_before = time.time()
    revocations.revoke_channel("thread:1")
    revocations.revoke_channel("forum:*")
    found = revocations.all()
    assert not may_open(found, "7", "thread:1", made_before)
    assert not may_open(found, "7", "forum:3", made_before)
    assert may_open(found, "7", "thread:2", made_before)


def test_all_are_told_in_order(revocations: Revocations) -> None:
    made: list[Revocation] = [revocations.revoke_user("7"), revocations.revoke_channel("thread:1")]
    assert revocations.all() == made
    assert [(found.user, found.channel) for found in made] == [("7", ""), ("", "thread:1")]


def test_what_is_no_channel_cannot_be_revoked(revocations: Revocations) -> None:
    for wrong in ("", "A", "*", ":*", "Thread:*", "thread*"):
        with pytest.raises(InvalidChannel):
            revocations.revoke_channel(wrong)
    with pytest.raises(ValueError, match="whose tokens"):
        revocations.revoke_user("")
    assert revocations.all() == []


def test_in_memory_they_are_forgotten_when_no_token_can_be_so_old() -> None:
    now = 1_000_000.0
    revocations = MemoryRevocations(clock=lambda: now)
    revocations.revoke_user("7")
    now += LONGEST_TOKEN_SECONDS
    assert revocations.all() != []
    now += 120
    assert revocations.all() == []


@pytest.mark.real_redis
def test_in_redis_they_are_forgotten_when_no_token_can_be_so_old(
    redis_server: RedisServer, redis_namespace: str
) -> None:
    with connect(redis_server.url) as client:
        keys = Keys(redis_namespace)
        # More than one node of the stream, which is trimmed by whole nodes.
        with client.pipeline() as together:
            for number in range(300):
                together.xadd(keys.revoked, {"user": "7", "before_ms": 1}, id=f"{number + 1}-0")
            together.execute()
        RedisRevocations(client, keys).revoke_user("8")
        assert client.xlen(keys.revoked) < 300
        left = client.ttl(keys.revoked)
        assert LONGEST_TOKEN_SECONDS < left <= LONGEST_TOKEN_SECONDS + 60


@pytest.mark.parametrize("granted", ["thread:1", "thread:*", "a:b:*", "user:9"])
def test_a_grant_is_a_name_or_a_prefix(granted: str) -> None:
    assert check_grant(granted) == granted


@pytest.mark.parametrize("case", json.loads(GOLDEN.read_text("utf-8")))
def test_the_rule(case: dict[str, Any]) -> None:
    revoked = [
        Revocation(entry.get("user", ""), entry.get("channel", ""), entry["before_ms"])
        for entry in case["revoked"]
    ]
    assert may_open(revoked, case["sub"], case["channel"], case["iat"]) == case["opens"]
