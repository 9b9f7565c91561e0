"""What happens to events when workers and Redis are killed, stopped and restarted under load: each
is in the log once, in the order of its key, and the books balance.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from formatter.attempt import SUSPECT_ATTEMPTS
from pushgate import Event
from pushgate.job_queue import FROM_THE_START
from stack.process import Process, wait_until
from stack.redis_server import RedisServer
from tests.integration.formatter_site import (
    PARTITIONS,
    Site,
    each_once_in_order,
    numbered,
    numbers_by_channel,
    site,
)
from tests.integration.hasty_formatter import HASTY

pytestmark = [pytest.mark.real_redis, pytest.mark.long]
__all__ = ["site"]

SEED = int(os.environ.get("PUSHGATE_RACE_SEED", "20141"))
KILLS = 30
KEYS = 10
DEADLINE_SECONDS = 150
STOP_SECONDS = 12
"""A worker gives up what it waits for after 9.5 s."""

POISON = "tests.integration.poison_pipelines"


@pytest.fixture
def own_site(own_redis: RedisServer, redis_namespace: str, tmp_path: Path) -> Iterator[Site]:
    """A site on that Redis."""
    site = Site(own_redis, redis_namespace, tmp_path)
    yield site
    site.close()


class Load:
    """Events that go on coming while something is awaited.

    Attributes:
        put: how many there were.
    """

    def __init__(self, site: Site, kinds: tuple[str, ...] = ("comment.created",)) -> None:
        self.put = 0
        self._site = site
        self._kinds = kinds

    def go_on(self, queued: int = 200) -> None:
        """Puts events until so many are queued."""
        for _ in range(queued - self._site.ledger().queued):
            kind = self._kinds[self.put // KEYS % len(self._kinds)]
            self._site.put(*numbered([self.put], KEYS, kind))
            self.put += 1

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Waits, with events coming."""

        def go_on_and_look() -> object:
            self.go_on()
            return condition()

        wait_until(go_on_and_look, DEADLINE_SECONDS, what)

    def wait_for_frames(self, count: int) -> None:
        """Waits until the log has so many more frames."""
        wanted = self._site.client.xlen(self._site.keys.log) + count
        self.wait_until(
            lambda: self._site.client.xlen(self._site.keys.log) >= wanted, "frames come"
        )

    def assert_each_once_in_order(self) -> None:
        """Waits until all is done, and compares."""
        self._site.wait_until_done()
        assert numbers_by_channel(self._site.frames()) == each_once_in_order(self.put, KEYS)
        ledger = self._site.ledger()
        assert ledger.balances
        assert (ledger.published, ledger.dead) == (self.put, 0)
        assert self._site.client.hlen(self._site.keys.attempts) == 0


def attempts_of_queued(site: Site) -> list[int]:
    """How often the jobs on the queue were claimed that were claimed more than once."""
    return [int(count) for count in site.client.hvals(site.keys.attempts)]


def holds_all(site: Site, worker: Process) -> bool:
    """Whether this process holds all partitions."""
    held = site.holders()
    return list(held.values()) == [PARTITIONS] and f"-{worker.pid}-" in next(iter(held))


def test_workers_killed_at_any_moment_lose_and_repeat_nothing(site: Site) -> None:
    print(f"seed {SEED}: set PUSHGATE_RACE_SEED to try another")
    chance = random.Random(SEED)
    load = Load(site, ("comment.created", "comment.created", "comment.created", "slow.now"))
    for _ in range(3):
        site.start_worker(module=HASTY)
    for _ in range(KILLS):
        load.wait_for_frames(chance.randrange(1, 60))
        chance.choice([worker for worker in site.workers if worker.running]).kill()
        if chance.random() < 0.7:
            site.keep_running()
    site.keep_running()
    load.assert_each_once_in_order()
    assert site.restarts >= KILLS / 2


def test_processes_of_one_parent_killed_at_any_moment_are_replaced(site: Site) -> None:
    print(f"seed {SEED}: set PUSHGATE_RACE_SEED to try another")
    chance = random.Random(SEED)
    load = Load(site)
    site.start_worker("--processes", "2")
    killed: set[int] = set()
    for _ in range(3):
        load.wait_until(lambda: len(site.holders()) == 2, "two processes share")
        load.wait_for_frames(chance.randrange(1, 200))
        victims = {int(owner.rsplit("-", 2)[1]) for owner in site.holders()} - killed
        for victim in chance.sample(sorted(victims), chance.randint(1, len(victims))):
            os.kill(victim, signal.SIGKILL)
            killed.add(victim)
    load.assert_each_once_in_order()
    assert site.workers[0].stop() == 0
    assert len(killed) >= 3


def test_what_a_sleeper_writes_after_its_lease_is_refused_and_counted(site: Site) -> None:
    load = Load(site, ("slow.now", "comment.created"))
    workers = [site.start_worker(), site.start_worker()]
    load.wait_until(lambda: len(site.holders()) == 2, "two processes share")
    for turn in range(3):
        sleeper, other = workers if turn % 2 else workers[::-1]
        load.wait_for_frames(20)
        os.kill(sleeper.pid, signal.SIGSTOP)
        load.wait_until(partial(holds_all, site, other), "the other one has all")
        load.wait_for_frames(20)
        os.kill(sleeper.pid, signal.SIGCONT)
        load.wait_until(lambda: len(site.holders()) == 2, "the sleeper has a share again")
    load.assert_each_once_in_order()
    assert site.ledger().refused >= 3
    assert all(worker.running for worker in workers)


def test_twenty_stops_under_load_give_back_every_job_uncounted(site: Site) -> None:
    load = Load(site, ("comment.created", "slow.now"))
    for _ in range(20):
        worker = site.start_worker()
        load.wait_for_frames(5)
        assert worker.stop(STOP_SECONDS) == 0
        assert max(attempts_of_queued(site), default=0) < SUSPECT_ATTEMPTS
        assert site.holders() == {}
    site.start_worker()
    load.assert_each_once_in_order()


def test_a_stop_while_redis_is_away_ends_in_time(own_site: Site, own_redis: RedisServer) -> None:
    load = Load(own_site, ("slow.now", "comment.created"))
    workers = [own_site.start_worker(), own_site.start_worker("--processes", "2")]
    load.wait_until(lambda: len(own_site.holders()) == 3, "three processes share")
    own_redis.kill()
    for worker in workers:
        os.kill(worker.pid, signal.SIGTERM)
    wait_until(
        lambda: not any(worker.running for worker in workers), STOP_SECONDS, "all have ended"
    )
    assert [worker.stop() for worker in workers] == [0, 0]
    own_redis.start()
    own_site.start_worker()
    load.assert_each_once_in_order()


def test_a_stop_while_a_suspect_is_looked_at_ends_in_time(site: Site) -> None:
    site.put(Event("stage.now", ("poisoned:0",), {"number": 99, "poison": "endless_loop"}))
    for _ in range(SUSPECT_ATTEMPTS - 1):
        for partition in range(PARTITIONS):
            lease = site.queue.leases.acquire(str(partition), "one that died")
            assert lease is not None
            site.queue.claim(lease, FROM_THE_START, 10)
            site.queue.leases.release(lease)
    site.put(*numbered(range(20), KEYS))
    worker = site.start_worker(pipelines=POISON)
    site.wait_until(lambda: site.ledger().queued == 1, "only the suspect is left")
    assert worker.stop(STOP_SECONDS) == 0
    assert site.ledger().queued == 1
    assert attempts_of_queued(site) == [SUSPECT_ATTEMPTS]
    assert numbers_by_channel(site.frames()) == each_once_in_order(20, KEYS)
    assert site.holders() == {}


def test_a_redis_killed_under_load_is_waited_for(own_site: Site, own_redis: RedisServer) -> None:
    load = Load(own_site, ("comment.created", "slow.now"))
    workers = [own_site.start_worker(), own_site.start_worker()]
    for _ in range(3):
        load.wait_for_frames(100)
        own_redis.kill()
        own_redis.start()
    load.wait_for_frames(100)
    load.assert_each_once_in_order()
    assert all(worker.running for worker in workers)


def test_a_redis_that_is_emptied_under_load_is_worked_on(
    own_site: Site, own_redis: RedisServer
) -> None:
    load = Load(own_site, ("comment.created", "slow.now"))
    workers = [own_site.start_worker(), own_site.start_worker()]
    for _ in range(3):
        load.wait_for_frames(100)
        own_site.client.flushall()
        load.put = 0
    load.wait_for_frames(100)
    load.assert_each_once_in_order()
    assert all(worker.running for worker in workers)
