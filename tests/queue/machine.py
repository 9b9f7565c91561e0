"""The job queue against a model of it, by steps of producers, workers and time in any order.

The model is a list of jobs for each partition, who holds it, and what was published so far. After
each step the queue's log and books must be the model's: so each key keeps its order, nothing is
lost, nothing is published twice, and who lost a lease has written nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pushgate import (
    Event,
    Finished,
    Frame,
    Job,
    Lease,
    LeaseLost,
    Ledger,
    Outcome,
    QueueFull,
    frame_of,
)
from pushgate.accounts import accounts_of
from pushgate.job_queue import FROM_THE_START, partition_of
from tests.queue.conftest import LIMIT, PARTITIONS, QueueMaker

# In two partitions, so that workers meet often.
KEYS = ("k:0", "k:2", "k:9", "k:1", "k:3")
WORKERS = ("worker-0", "worker-1", "worker-2")
NAMES = tuple(sorted({str(partition_of(key, PARTITIONS)) for key in KEYS}))

keys = st.sampled_from(KEYS)
workers = st.sampled_from(WORKERS)
names = st.sampled_from(NAMES)
places = st.integers(0, 20)
counts = st.integers(1, 6)
outcomes = st.sampled_from([Outcome.PUBLISHED, Outcome.PUBLISHED, *Outcome])

Answer = TypeVar("Answer")
Candidate = TypeVar("Candidate")


def one_of(candidates: Sequence[Candidate], place: int) -> Candidate:
    """One of them, any number given."""
    return candidates[place % len(candidates)]


@dataclass
class ModelJob:
    """A job as it must be on the queue."""

    event: Event
    attempts: int = 0

    @property
    def number(self) -> int:
        """Its place among all events put."""
        return int(self.event.data["n"])


@dataclass
class Hold:
    """What a worker remembers of a partition; it may be wrong about still holding it.

    Attributes:
        position: the entry behind which it claims.
        passed: the number of the job at that position.
        claimed: what it has claimed and not ended, in order.
        last_batch: what it has finished last.
    """

    lease: Lease
    position: str = FROM_THE_START
    passed: int = -1
    claimed: list[tuple[Job, ModelJob]] = field(default_factory=list)
    last_batch: list[Finished] = field(default_factory=list)

    def first_of_its_key(self, place: int) -> tuple[Job, ModelJob]:
        """The claimed job that must end before, or is, the one at a place."""
        key = one_of(self.claimed, place)[1].event.key
        return next(pair for pair in self.claimed if pair[1].event.key == key)


class QueueMachine(RuleBasedStateMachine):
    """One run on an empty queue.

    Args:
        make_queue: makes the queue.
    """

    def __init__(self, make_queue: QueueMaker) -> None:
        super().__init__()
        self.under_test = make_queue()
        self.queue = self.under_test.queue
        self.began_at = self.under_test.log.cursor().entry_id
        self.events: list[Event] = []
        self.jobs: dict[str, list[ModelJob]] = {name: [] for name in NAMES}
        self.holders: dict[str, Lease] = {}
        self.holds: dict[tuple[str, str], Hold] = {}
        self.published: list[Frame] = []
        self.dead: list[tuple[int, str]] = []
        self.books: Counter[str] = Counter()

    @initialize()
    def work_begins(self) -> None:
        """A first worker has everything and something to do."""
        for key in KEYS:
            self.put(key, 2)
        for name in NAMES:
            self.acquire(WORKERS[0], name)

    # The steps: few, each with many ways, because Hypothesis leaves some out of each life.

    @rule(key=keys, count=counts)
    def produce(self, key: str, count: int) -> None:
        self.put(key, count)

    @rule(worker=workers, name=names, how=st.sampled_from(["asks", "steals", "only waits"]))
    def take(self, worker: str, name: str, how: str) -> None:
        """A worker asks for a partition, perhaps once its holder's lease has run out."""
        if how != "asks" and name in self.holders:
            self.under_test.expire(self.holders.pop(name))
        if how != "only waits":
            self.acquire(worker, name)

    @precondition(lambda self: self.holds)
    @rule(place=places, claims=counts, finishes=counts, outcome=outcomes, key=st.none() | keys)
    def work(
        self, place: int, claims: int, finishes: int, outcome: Outcome, key: str | None
    ) -> None:
        """A holder, or a zombie, claims and finishes, perhaps jobs of one key before the others."""
        hold = one_of(self.all_holds(), place)
        self.claim(hold, claims)
        pairs = [pair for pair in hold.claimed if key in (None, pair[1].event.key)]
        self.finish(hold, pairs[:finishes], outcome)

    @precondition(lambda self: any(hold.claimed for hold in self.all_holds()))
    @rule(place=places, which=counts, how=st.sampled_from(["retries", "buries", "buries, tells"]))
    def stumble(self, place: int, which: int, how: str) -> None:
        hold = one_of([hold for hold in self.all_holds() if hold.claimed], place)
        if how == "retries":
            self.retry(hold, *one_of(hold.claimed, which))
        else:
            self.bury(hold, *hold.first_of_its_key(which), tells=how == "buries, tells")

    @rule(place=places)
    def repeat(self, place: int) -> None:
        """The answer had been lost, so it is asked again; what was done is not done again."""
        assert self.queue.put(one_of(self.events, place)) is False
        for hold in self.all_holds():
            again = partial(self.queue.finish, hold.lease, hold.last_batch)
            assert self.ask(hold, again) in (None, 0)

    @precondition(lambda self: self.holds)
    @rule(place=places, begun=st.none() | st.integers(0, 3))
    def leave(self, place: int, begun: int | None) -> None:
        """A worker stops; or crashes, and all it knew is gone while its leases run on."""
        worker = one_of(self.all_holds(), place).lease.owner
        for name in NAMES:
            hold = self.holds.pop((worker, name), None)
            if hold is not None and begun is not None:
                self.stop(hold, begun)

    # What they are made of

    def put(self, key: str, count: int) -> None:
        jobs = self.jobs[str(partition_of(key, PARTITIONS))]
        for _ in range(count):
            event = Event("k.happened", (key,), {"n": len(self.events)})
            if len(jobs) >= LIMIT:
                with pytest.raises(QueueFull):
                    self.queue.put(event)
                return
            assert self.queue.put(event) is True
            self.events.append(event)
            jobs.append(ModelJob(event))
            self.books.update(put=1, queued=1)

    def acquire(self, worker: str, name: str) -> None:
        lease = self.queue.leases.acquire(name, worker, 600)
        assert (lease is None) == (name in self.holders), "held by one at a time"
        if lease is not None:
            self.holders[name] = lease
            self.holds[worker, name] = Hold(lease)

    def claim(self, hold: Hold, count: int) -> None:
        claimed = self.ask(hold, partial(self.queue.claim, hold.lease, hold.position, count))
        if not claimed:
            return
        behind = [job for job in self.jobs[hold.lease.name] if job.number > hold.passed][:count]
        for job in behind:
            job.attempts += 1
        assert [(job.event(), job.attempts) for job in claimed] == [
            (job.event, job.attempts) for job in behind
        ], "claimed in order, each counted before any work"
        hold.claimed += zip(claimed, behind, strict=True)
        hold.position, hold.passed = claimed[-1].entry_id, behind[-1].number

    def finish(self, hold: Hold, pairs: Sequence[tuple[Job, ModelJob]], outcome: Outcome) -> None:
        publishes = outcome is Outcome.PUBLISHED
        batch = [
            Finished(job.entry_id, (frame_of(known.event),) if publishes else (), outcome)
            for job, known in pairs
        ]
        ended = self.ask(hold, partial(self.queue.finish, hold.lease, batch))
        if ended is not None:
            assert ended == len(pairs)
            hold.last_batch = batch
            self.end(hold, pairs, outcome, [frame for done in batch for frame in done.frames])

    def retry(self, hold: Hold, job: Job, known: ModelJob) -> None:
        attempts = self.ask(hold, partial(self.queue.retry, hold.lease, job.entry_id))
        if attempts is not None:
            known.attempts += 1
            assert attempts == known.attempts

    def bury(self, hold: Hold, job: Job, known: ModelJob, *, tells: bool) -> None:
        frames = [Frame(known.event.channels, b"event: gone\ndata: {}\n\n")] if tells else []
        reason = f"job {known.number}"
        bury = partial(self.queue.bury, hold.lease, job.entry_id, reason, frames)
        if self.ask(hold, bury) is not None:
            assert bury() is False, "buried once"
            assert self.queue.retry(hold.lease, job.entry_id) == 0
            self.dead.append((known.attempts, reason))
            self.end(hold, [(job, known)], "dead", frames)

    def stop(self, hold: Hold, begun: int) -> None:
        """Gives back what was not begun, then the lease; what had ended is not given back."""
        not_begun = hold.claimed[begun:]
        given_back = [job.entry_id for job, _ in not_begun]
        given_back += [done.entry_id for done in hold.last_batch]
        cancelled = self.ask(hold, partial(self.queue.cancel, hold.lease, given_back))
        assert self.queue.leases.release(hold.lease) == (cancelled is not None)
        if cancelled is not None:
            assert cancelled == len(not_begun)
            for _, known in not_begun:
                known.attempts = max(0, known.attempts - 1)
            del self.holders[hold.lease.name]

    # What must be true after each step

    @invariant()
    def the_log_is_the_models(self) -> None:
        entries = self.under_test.log.after(self.began_at, 10_000)
        assert [(entry.channels, entry.frame) for entry in entries] == [
            (frame.channels, frame.data) for frame in self.published
        ]

    @invariant()
    def the_books_are_the_models(self) -> None:
        ledger = self.under_test.ledger()
        assert ledger.balances
        assert ledger == Ledger(**self.books)
        accounts = accounts_of(self.under_test.books())
        assert [account.complaint for account in accounts if account.complaint] == []

    def teardown(self) -> None:
        """Works off what is left, in order, and finds no trace of it afterwards."""
        for lease in self.holders.values():
            self.under_test.expire(lease)
        self.holders.clear()
        for name in NAMES:
            self.acquire("last", name)
            hold = self.holds["last", name]
            self.claim(hold, LIMIT + 1)
            self.finish(hold, hold.claimed, Outcome.PUBLISHED)
            assert self.jobs[name] == []
        self.the_log_is_the_models()
        self.the_books_are_the_models()
        assert self.books["queued"] == 0
        assert self.under_test.dead() == self.dead
        if self.under_test.client is not None and self.under_test.keys is not None:
            assert self.under_test.client.hgetall(self.under_test.keys.attempts) == {}

    # How it is told

    def all_holds(self) -> list[Hold]:
        return [self.holds[key] for key in sorted(self.holds)]

    def ask(self, hold: Hold, operation: Callable[[], Answer]) -> Answer | None:
        """Asks the queue for the holder; None when it refused, as it must who lost the lease."""
        is_held = self.holders.get(hold.lease.name) == hold.lease
        try:
            answer = operation()
        except LeaseLost:
            assert not is_held, "refused to its holder"
            self.books.update(refused=1)
            return None
        assert is_held, "not refused to who lost the lease"
        return answer

    def end(
        self,
        hold: Hold,
        pairs: Sequence[tuple[Job, ModelJob]],
        column: str,
        frames: Sequence[Frame],
    ) -> None:
        gone = {known.number for _, known in pairs}
        name = hold.lease.name
        self.jobs[name] = [job for job in self.jobs[name] if job.number not in gone]
        hold.claimed = [pair for pair in hold.claimed if pair[1].number not in gone]
        self.published += frames
        self.books.update({str(column): len(pairs), "queued": -len(pairs), "frames": len(frames)})
