"""What can be wrong with the Redis that the formatter is pointed at."""

from __future__ import annotations

from typing import Any

import redis

from formatter.pipelines_check import Findings
from pushgate import Keys
from pushgate.leases import LEASE_SECONDS

OLDEST_REDIS = (7, 0)
"""The first whose streams remember the highest entry ever deleted, which tells a subscriber
whether its history still reaches back."""

MOST_PARTITIONS = 1024

Info = dict[str, Any]


def check_redis(client: redis.Redis, keys: Keys, partitions: int, findings: Findings) -> None:
    """Asks Redis how it is set up, and whether other parts count the same partitions."""
    try:
        client.ping()
    except redis.RedisError as error:
        findings.problems.append(f"PUSHGATE_REDIS_URL: Redis does not answer: {error}")
        return
    try:
        # The client knows no types for what INFO tells.
        info: Any = client.info()
    except redis.RedisError as error:
        findings.warnings.append(f"Redis does not tell how it is set up (INFO): {error}")
    else:
        _check_version(info, findings)
        _check_memory(info, findings)
        _check_durability(info, findings)
    try:
        _check_partitions(client, keys, partitions, findings)
    except redis.RedisError as error:
        findings.problems.append(f"Redis does not show namespace {keys.namespace}: {error}")


def _check_version(info: Info, findings: Findings) -> None:
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) if part.isdigit() else 0 for part in version.split(".")[:2])
    if numbers < OLDEST_REDIS:
        wanted = ".".join(map(str, OLDEST_REDIS))
        findings.problems.append(f"Redis {version or 'of unknown version'}: use {wanted} or later")
    if info.get("role") == "slave":
        findings.problems.append("Redis is a replica, which takes no writes: name its master")


def _check_memory(info: Info, findings: Findings) -> None:
    limit = int(info.get("maxmemory", 0))
    policy = info.get("maxmemory_policy", "noeviction")
    if limit and policy != "noeviction":
        findings.problems.append(
            f"Redis has maxmemory-policy {policy}: at its {limit} bytes it would drop jobs and "
            "frames without a word; set noeviction"
        )
    used = int(info.get("used_memory", 0))
    if limit and used > 0.9 * limit:
        findings.warnings.append(
            f"Redis holds {used} of its {limit} bytes (maxmemory): at the bound it refuses writes"
        )


def _check_durability(info: Info, findings: Findings) -> None:
    if not int(info.get("aof_enabled", 0)):
        findings.warnings.append(
            "Redis has appendonly no: a crash takes what was written since its last snapshot; set "
            "appendonly yes"
        )
    elif info.get("aof_last_write_status", "ok") != "ok":
        findings.problems.append("Redis could not write its append-only file: look at its log")


def _check_partitions(client: redis.Redis, keys: Keys, partitions: int, findings: Findings) -> None:
    """Each part must count the same partitions; what others left in Redis tells how they count."""
    above = range(partitions, MOST_PARTITIONS)
    # By itself: it names no key, and a cluster has no place in a pipeline for it.
    seconds, _ = client.time()
    with client.pipeline(transaction=False) as together:
        for partition in above:
            together.exists(keys.jobs(partition))
            together.exists(keys.lease(str(partition)))
        together.hkeys(keys.fence)
        *there, fence = together.execute()
    setting = f"PUSHGATE_PARTITIONS is {partitions}"
    for partition, jobs, lease in zip(above, there[::2], there[1::2], strict=True):
        if lease:
            findings.problems.append(
                f"{setting}, and a formatter holds partition {partition}: it counts more; use the "
                "same number everywhere"
            )
            return
        if jobs:
            findings.problems.append(
                f"{setting}, and partition {partition} holds jobs: who put them counts more, or "
                "the number was lowered before they were done"
            )
            return
    oldest_ms = (seconds - LEASE_SECONDS) * 1000
    alive = client.zcount(keys.workers, oldest_ms, "+inf")
    known = [int(name) for name in fence if name.isdigit()]
    if alive and known and max(known) + 1 < partitions:
        findings.warnings.append(
            f"{setting}, and the formatters at work have never held more than {max(known) + 1}: "
            "do they count the same?"
        )
