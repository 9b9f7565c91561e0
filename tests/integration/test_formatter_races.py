"""Workers that race for the same partitions: each event is in the log once, in order per key."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import redis

from pushgate import Keys, LogEntry, RedisLog, connect, read_ledger
from stack.platform import REPOSITORY
from stack.redis_server import RedisServer
from tests.imbalances import imbalances
from tests.integration.formatter_site import numbers_by_channel
from tests.integration.queue_race import PARTITIONS, QueueRace
from tests.integration.under_gevent import under_gevent

pytestmark = pytest.mark.real_redis

SEED = int(os.environ.get("PUSHGATE_RACE_SEED", "20141"))
"""Another one is tried by setting it in the environment; who fails prints the one it had."""

RACE_PARTITIONS = 16
"""As many as `race_scenarios` has, which only a process patched by gevent may import."""

HAND_OVERS = 2_000
STEPS = 5_000
DEADLINE_SECONDS = 200

_NUMBERS = re.compile(rb'"numbers":\[([0-9,]*)\]')


def told(frames: list[LogEntry]) -> dict[str, list[int]]:
    """Channel -> the numbers it was told of, in this order."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for entry in frames:
        (numbers,) = _NUMBERS.findall(entry.frame)
        for channel in entry.channels:
            found[channel] += map(int, numbers.split(b","))
    return dict(found)


def test_workers_that_lose_their_leases_all_the_time_lose_and_repeat_nothing(
    redis_server: RedisServer, redis_namespace: str, tmp_path: Path
) -> None:
    print(f"seed {SEED}: set PUSHGATE_RACE_SEED to try another")
    report = tmp_path / "report"
    with connect(redis_server.url) as client:
        keys = Keys(redis_namespace)
        log = RedisLog(client, keys)
        start = log.cursor()
        ran = subprocess.run(
            under_gevent(
                "tests.integration.race_scenarios:race",
                *(redis_server.url, redis_namespace, str(SEED), str(HAND_OVERS), str(report)),
            ),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-5000:]
        happened = json.loads(report.read_text(encoding="ascii"))
        counts = happened["counts"]
        print(counts, read_ledger(client, keys))
        assert told(log.after(start.entry_id, 1_000_000)) == {
            channel: list(range(count)) for channel, count in happened["put"].items()
        }
        ledger = read_ledger(client, keys)
        assert imbalances(client, keys, RACE_PARTITIONS) == []
        assert (ledger.dead, ledger.queued) == (0, 0)
        assert ledger.published + ledger.suppressed == sum(happened["put"].values())
        assert ledger.refused >= counts["refused"] > 0
        assert client.hlen(keys.attempts) == 0
        assert counts["taken"] >= HAND_OVERS
        assert "given up" not in ran.stderr, "a partition met what nobody expected"
        assert "Traceback" not in ran.stderr


def test_a_lease_acquired_while_the_worker_stops_is_given_back() -> None:
    ran = subprocess.run(
        under_gevent("tests.integration.race_scenarios:stopped_while_it_acquires"),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_whatever_the_order_of_steps_nobody_but_the_holder_writes(
    redis_client: redis.Redis, keys: Keys, seed: int
) -> None:
    print(f"seed {seed}: set PUSHGATE_RACE_SEED to try another")
    log = RedisLog(redis_client, keys)
    start = log.cursor()
    race = QueueRace(redis_client, keys, seed)
    race.run(STEPS)
    race.finish_all()
    print(race.counts)
    assert numbers_by_channel(log.after(start.entry_id, 1_000_000)) == {
        key: [number for number in range(count) if number not in race.dead[key]]
        for key, count in race.put.items()
    }
    ledger = read_ledger(redis_client, keys)
    assert imbalances(redis_client, keys, PARTITIONS) == []
    assert ledger.accepted == race.put.total()
    assert ledger.dead == sum(map(len, race.dead.values()))
    assert ledger.refused == race.counts["refused"] > STEPS / 50
    assert (ledger.queued, redis_client.hlen(keys.attempts)) == (0, 0)
