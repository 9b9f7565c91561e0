"""What `check-config` finds wrong with a Redis, and with who else uses it."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from formatter.pipelines_check import Findings
from formatter.redis_check import check_redis
from pushgate import Event, Keys, Leases, RedisJobQueue

PARTITIONS = 4


class Told:
    """A Redis that tells other things of itself than it is."""

    def __init__(self, client: redis.Redis, **told: Any) -> None:
        self._client = client
        self._told = told

    def info(self) -> dict[str, Any]:
        found: Any = self._client.info()
        return {**found, **self._told}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def found_in(client: Any, keys: Keys) -> Findings:
    findings = Findings()
    check_redis(client, keys, PARTITIONS, findings)
    return findings


def test_a_redis_as_ours_has_nothing_wrong(redis_client: redis.Redis, keys: Keys) -> None:
    assert found_in(redis_client, keys) == Findings()


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"redis_version": "6.2.14"}, "Redis 6.2.14: use 7.0 or later"),
        ({"role": "slave"}, "Redis is a replica, which takes no writes: name its master"),
        (
            {"maxmemory": 1000_000_000, "maxmemory_policy": "allkeys-lru"},
            "Redis has maxmemory-policy allkeys-lru: at its 1000000000 bytes it would drop jobs "
            "and frames without a word; set noeviction",
        ),
        (
            {"aof_enabled": 1, "aof_last_write_status": "err"},
            "Redis could not write its append-only file: look at its log",
        ),
    ],
)
def test_what_is_wrong_has_its_sentence(
    told: dict[str, Any], sentence: str, redis_client: redis.Redis, keys: Keys
) -> None:
    assert found_in(Told(redis_client, **told), keys).problems == [sentence]


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (
            {"aof_enabled": 0},
            "Redis has appendonly no: a crash takes what was written since its last snapshot; "
            "set appendonly yes",
        ),
        (
            {"maxmemory": 1000_000_000, "used_memory": 950_000_000},
            "Redis holds 950000000 of its 1000000000 bytes (maxmemory): at the bound it refuses "
            "writes",
        ),
    ],
)
def test_what_may_be_meant_is_a_warning(
    told: dict[str, Any], sentence: str, redis_client: redis.Redis, keys: Keys
) -> None:
    findings = found_in(Told(redis_client, **told), keys)
    assert (findings.problems, findings.warnings) == ([], [sentence])


def test_a_policy_without_a_bound_drops_nothing(redis_client: redis.Redis, keys: Keys) -> None:
    told = Told(redis_client, maxmemory=0, maxmemory_policy="allkeys-lru")
    assert found_in(told, keys) == Findings()


def test_who_holds_a_partition_beyond_ours_counts_more(
    redis_client: redis.Redis, keys: Keys
) -> None:
    assert Leases(redis_client, keys).acquire("6", "somebody", 60)
    assert found_in(redis_client, keys).problems == [
        "PUSHGATE_PARTITIONS is 4, and a formatter holds partition 6: it counts more; use the same "
        "number everywhere"
    ]


def test_jobs_beyond_our_partitions_would_wait_for_ever(
    redis_client: redis.Redis, keys: Keys
) -> None:
    queue = RedisJobQueue(redis_client, keys, partitions=64)
    for number in range(20):
        queue.put(Event("comment.created", (f"thread:{number}",), {}))
    (problem,) = found_in(redis_client, keys).problems
    assert problem.startswith("PUSHGATE_PARTITIONS is 4, and partition ")
    assert problem.endswith(
        "holds jobs: who put them counts more, or the number was lowered before they were done"
    )


def test_formatters_that_never_held_our_last_partitions_may_count_fewer(
    redis_client: redis.Redis, keys: Keys
) -> None:
    leases = Leases(redis_client, keys)
    leases.acquire("0", "somebody", 60)
    leases.acquire("1", "somebody", 60)
    assert found_in(redis_client, keys) == Findings()
    leases.attend("somebody")
    assert found_in(redis_client, keys).warnings == [
        "PUSHGATE_PARTITIONS is 4, and the formatters at work have never held more than 2: do they "
        "count the same?"
    ]
