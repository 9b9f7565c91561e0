"""Workers of one process race for the same partitions; called in a process that gevent has patched.

Leases last tens of milliseconds, and a worker often believes that it still has one which it has
not: everything between a claim and its finish happens between hand-overs. Each command to Redis may
take its time on the way there and on the way back.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gevent

import formatter.partition
import formatter.worker
from formatter import Observer, Pipeline, Pipelines, TransientError
from formatter.attempt import Attempts
from formatter.worker import Worker
from pushgate import (
    Event,
    Frame,
    Keys,
    Lease,
    MemoryJobQueue,
    RedisJobQueue,
    connect,
    read_ledger,
)
from pushgate.leases import Attendance, Leases

PARTITIONS = 16
KEYS = 24
WORKERS = 5
LEASE_SECONDS = 0.03
DEADLINE_SECONDS = 180
MOST_QUEUED = 200


class Race:
    """What all workers of a race share.

    Attributes:
        random: what chance decides is decided by it.
        counts: what happened, by name.
    """

    def __init__(self, url: str, namespace: str, seed: int) -> None:
        self.url = url
        self.keys = Keys(namespace)
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.pipelines = Pipelines(
            {"shaky.": self._shaky(), "slow.": self._slow(), "burst.": BurstPipeline}
        )

    def pause(self) -> None:
        """Lets others go first, for some milliseconds, or not at all."""
        if self.random.random() < 0.3:
            gevent.sleep(self.random.choice([0, 0, 0.001, 0.01]))

    def _slow(self) -> type[Pipeline]:
        race = self

        class SlowPipeline(Pipeline):
            """Waits a little."""

            def enrich(self, event: Event) -> Event:
                race.pause()
                return event

        return SlowPipeline

    def _shaky(self) -> type[Pipeline]:
        failed: set[str] = set()

        class ShakyPipeline(Pipeline):
            """Fails the first time that it sees an event."""

            def enrich(self, event: Event) -> Event:
                if event.id not in failed:
                    failed.add(event.id)
                    raise TransientError("not yet")
                return event

        return ShakyPipeline


class BurstPipeline(Pipeline):
    """Makes one event of those that came within ten milliseconds."""

    def gather(self, event: Event) -> float:
        return 0.01

    def collapse(self, events: Sequence[Event]) -> Event:
        numbers = [number for event in events for number in event.data["numbers"]]
        return events[-1].with_data({"numbers": numbers})


class RacingLeases(Leases):
    """Short leases that are often not renewed, though the worker is told so."""

    def __init__(self, race: Race, client: Any) -> None:
        super().__init__(client, race.keys)
        self._race = race

    def acquire(self, name: str, owner: str, seconds: float = LEASE_SECONDS) -> Lease | None:
        self._race.pause()
        return super().acquire(name, owner, seconds)

    def renew_all(self, leases: Sequence[Lease], seconds: float = LEASE_SECONDS) -> list[bool]:
        self._race.pause()
        asked = [lease for lease in leases if self._race.random.random() > 0.3]
        renewed = dict(zip(asked, super().renew_all(asked, seconds), strict=True))
        self._race.counts["believed"] += len(leases) - len(asked)
        return [renewed.get(lease, True) for lease in leases]

    def attend(self, owner: str, seconds: float = 4 * LEASE_SECONDS) -> Attendance:
        return super().attend(owner, seconds)


class RacingQueue(RedisJobQueue):
    """A queue whose answers take their time."""

    def __init__(self, race: Race, client: Any) -> None:
        super().__init__(client, race.keys, PARTITIONS)
        self.leases = RacingLeases(race, client)
        self._race = race

    def _as_holder(self, *arguments: Any) -> Any:
        self._race.pause()
        answer = super()._as_holder(*arguments)
        self._race.pause()
        return answer


class Here:
    """Takes suspects through their pipeline in this process: nothing here does harm."""

    def __init__(self, pipelines: Pipelines) -> None:
        self._pipelines = pipelines

    def run(self, event: Event, seconds: float) -> tuple[Frame, ...]:
        """See `Sandbox.run`."""
        return self._pipelines.for_type(event.type).run(event)

    def gone(self, event: Event, seconds: float) -> tuple[Frame, ...]:
        """See `Sandbox.gone`."""
        return self._pipelines.for_type(event.type).gone(event)


class Counts(Observer):
    """Counts what happens to leases."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts

    def lease_taken(self, partition: str) -> None:
        self._counts["taken"] += 1

    def lease_lost(self, partition: str) -> None:
        self._counts["lost"] += 1

    def lease_released(self, partition: str) -> None:
        self._counts["released"] += 1

    def refused(self, partition: str) -> None:
        self._counts["refused"] += 1


def race(url: str, namespace: str, seed: str, hand_overs: str, report: str) -> None:
    """Puts events while the workers race, until leases were taken so often; then lets them finish.

    Writes what happened as JSON: the counts, and how many events of each key were put.
    """
    formatter.worker.RENEW_SECONDS = LEASE_SECONDS / 3  # type: ignore[attr-defined]
    formatter.worker.WAIT_SECONDS = LEASE_SECONDS
    formatter.worker.DRAIN_SECONDS = 4 * LEASE_SECONDS
    formatter.partition.BACKOFF_SECONDS = 0.01
    shared = Race(url, namespace, int(seed))
    client = connect(url)
    queue = RedisJobQueue(client, shared.keys, PARTITIONS)
    give_up_at = time.monotonic() + DEADLINE_SECONDS
    finished = False

    def work() -> None:
        """A worker after the other, each for a while."""
        while not finished:
            worker = Worker(
                RacingQueue(shared, connect(url)),
                Attempts(shared.pipelines, [Counts(shared.counts)], sandbox=Here(shared.pipelines)),
            )
            gevent.spawn_later(shared.random.uniform(0.1, 2), worker.stop)
            worker.run()
            shared.counts["workers"] += 1

    def wait_until(condition: Callable[[], bool]) -> None:
        while not condition():
            gevent.sleep(0.02)
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{shared.counts} {read_ledger(client, shared.keys)}")

    workers = [gevent.spawn(work) for _ in range(WORKERS)]
    put: Counter[str] = Counter()
    kinds = ["comment.created", "slow.now", "shaky.now", "burst.now"]
    while shared.counts["taken"] < int(hand_overs):
        for _ in range(4):
            channel = f"thread:{shared.random.randrange(KEYS)}"
            kind = shared.random.choice(kinds)
            queue.put(Event(kind, (channel,), {"numbers": [put[channel]]}))
            put[channel] += 1
        gevent.sleep(0.005)
        wait_until(lambda: read_ledger(client, shared.keys).queued < MOST_QUEUED)
    wait_until(lambda: read_ledger(client, shared.keys).queued == 0)
    finished = True
    gevent.joinall(workers, timeout=10, raise_error=True)
    Path(report).write_text(json.dumps({"counts": shared.counts, "put": put}), encoding="ascii")


def stopped_while_it_acquires() -> None:
    """A worker is told to stop while the answer that it has a further lease is on its way."""
    queue = MemoryJobQueue(PARTITIONS)
    worker = Worker(queue, Attempts(Pipelines({})))
    acquire = queue.leases.acquire
    asked: list[str] = []

    def acquire_slowly(name: str, owner: str, seconds: float = 60) -> Lease | None:
        asked.append(name)
        lease = acquire(name, owner, seconds)
        if len(asked) == 2:
            worker.stop()
            gevent.sleep(0.5)
        return lease

    queue.leases.acquire = acquire_slowly  # type: ignore[method-assign]
    worker.run()
    assert len(asked) == 2, "once it is told to stop, it acquires no more"
    free = [name for name in asked if acquire(name, "the next", 60)]
    assert free == asked, "all are given back"
