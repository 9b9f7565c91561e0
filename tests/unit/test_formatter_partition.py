"""One partition at work, on the queue in memory: what must not come between what."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gevent
import pytest

from formatter import Pipeline, Pipelines
from formatter import partition as partition_module
from formatter.attempt import LONGEST_GATHER_SECONDS, Attempts, Sandbox
from formatter.errors import NoProcess
from formatter.lanes import Lanes
from formatter.partition import Partition
from pushgate import Event, Frame, Job, Lease, MemoryJobQueue, frame_of
from pushgate.job_queue import FROM_THE_START


class SlowQueue(MemoryJobQueue):
    """Something happens between the end of a claim and the moment the claimer knows of it."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def claim(self, lease: Lease, after: str, count: int) -> list[Job]:
        jobs = super().claim(lease, after, count)
        self.meanwhile()
        return jobs


class CountingPipeline(Pipeline):
    """Makes one event of many, and does something else while it does."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def gather(self, event: Event) -> float:
        return 0.01

    def collapse(self, events: Sequence[Event]) -> Event:
        type(self).meanwhile()
        return events[-1].with_data({"number": -len(events)})


@pytest.fixture
def queue() -> SlowQueue:
    return SlowQueue(partitions=1)


def put(queue: MemoryJobQueue, *numbers: int, kind: str = "comment.created") -> None:
    for number in numbers:
        queue.put(Event(kind, ("thread:1",), {"number": number}))


def attempts_at_each(queue: MemoryJobQueue) -> list[int]:
    """How often each job on the queue had been claimed before; claims them."""
    lease = queue.leases.acquire("0", "who looks")
    assert lease is not None
    return [job.attempts - 1 for job in queue.claim(lease, FROM_THE_START, 100)]


def partition_of(queue: MemoryJobQueue, lanes: Lanes, sandbox: Sandbox | None = None) -> Partition:
    lease = queue.leases.acquire("0", "worker")
    assert lease is not None
    attempts = Attempts(Pipelines({"burst.": CountingPipeline}), sandbox=sandbox)
    return Partition(lease, queue, lanes, attempts, lambda: None)


def work(partition: Partition, lanes: Lanes) -> None:
    """Claims, and works until nothing is in flight any more."""
    partition.claim()
    runners = gevent.spawn(lanes.run)
    with gevent.Timeout(10):
        while partition.in_flight:
            gevent.sleep(0.001)
    runners.kill()


def test_what_is_claimed_while_the_partition_is_left_is_given_back(queue: SlowQueue) -> None:
    """The jobs before had been given back, so these would have gone out before them."""
    partition = partition_of(queue, Lanes())
    put(queue, 1, 2)
    assert partition.claim() == 2
    put(queue, 3, 4)
    given_back: list[int] = []
    in_flight: list[int] = []

    def leave() -> None:
        given_back.append(partition.leave())
        in_flight.append(partition.in_flight)

    queue.meanwhile = leave
    assert partition.claim() == 0
    assert given_back == [2]
    assert in_flight == [1], "nobody gives the lease back before it is known what was claimed"
    assert partition.in_flight == 0
    queue.meanwhile = lambda: None
    assert partition.claim() == 0, "nothing more is claimed"
    queue.leases.release(partition.lease)
    assert attempts_at_each(queue) == [0, 0, 0, 0]


def test_a_stop_while_many_become_one_leaves_them_together(queue: SlowQueue) -> None:
    lanes = Lanes()
    partition = partition_of(queue, lanes)
    put(queue, *range(5), kind="burst.now")
    before = queue.log.cursor()
    CountingPipeline.meanwhile = partition.leave
    try:
        work(partition, lanes)
    finally:
        CountingPipeline.meanwhile = staticmethod(lambda: None)
    (entry,) = queue.log.after(before.entry_id, 10)
    assert b'"number":-5' in entry.frame
    assert not partition.lost
    ledger = queue.ledger()
    assert (ledger.published, ledger.suppressed, ledger.queued) == (1, 4, 0)


class NoSandbox:
    """Where no process can be started, for long; then one can."""

    def __init__(self) -> None:
        self.refusals = 20

    def run(self, event: Event, seconds: float) -> tuple[Frame, ...]:
        """See `Sandbox.run`."""
        if self.refusals:
            self.refusals -= 1
            raise NoProcess("sandbox: no process could be started")
        return (frame_of(event),)

    def gone(self, event: Event, seconds: float) -> tuple[Frame, ...]:
        """See `Sandbox.gone`."""
        raise NotImplementedError


def test_a_suspect_is_not_condemned_because_no_sandbox_starts(
    queue: SlowQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_module, "LONGEST_BACKOFF_SECONDS", 0.001)
    put(queue, 1)
    for _ in range(2):
        lease = queue.leases.acquire("0", "one that died")
        assert lease is not None
        queue.claim(lease, FROM_THE_START, 10)
        queue.leases.release(lease)
    lanes, sandbox = Lanes(), NoSandbox()
    work(partition_of(queue, lanes, sandbox), lanes)
    assert sandbox.refusals == 0
    assert queue.ledger().published == 1
    assert queue.dead_letters == []


class EndlesslyGatheringPipeline(Pipeline):
    """Would hold everything back for ever."""

    def gather(self, event: Event) -> float:
        return float("inf")


def test_nothing_is_held_back_for_ever() -> None:
    event = Event("comment.created", ("thread:1",), {})
    attempts = Attempts(Pipelines({}))
    assert attempts.gather(event, EndlesslyGatheringPipeline()) == LONGEST_GATHER_SECONDS
