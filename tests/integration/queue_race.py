"""Workers as a script of single steps, so that every order of steps can be tried: each step is one
command to a real Redis, and chance says whose step is next.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import redis

from pushgate import Event, Finished, Job, Keys, Lease, LeaseLost, RedisJobQueue, frame_of
from pushgate.job_queue import FROM_THE_START

PARTITIONS = 3
KEYS = 7
HANDS = 4
MOST_CLAIMED = 8
LEASE_SECONDS = 600
"""No clock ends a lease here; chance does."""

Answer = TypeVar("Answer")


@dataclass
class Hold:
    """A partition as one worker sees it: what it claimed and has not ended, by key.

    Attributes:
        lease: which may be another's by now, without the worker's knowing.
        position: the entry behind which to claim.
        lanes: key -> its claimed jobs, first to last.
        last: what was written last, to be written again.
    """

    lease: Lease
    position: str = FROM_THE_START
    lanes: dict[str, deque[tuple[Job, Event]]] = field(default_factory=dict)
    last: list[Finished] = field(default_factory=list)


class QueueRace:
    """Several workers, their partitions, and what must be true of all they do.

    Attributes:
        put: key -> how many events of it were put.
        dead: the numbers of the events buried, by key.
        counts: how often each step was made, and how often one was refused.
        attempts: event -> how often it should have been tried.
    """

    def __init__(self, client: redis.Redis, keys: Keys, seed: int) -> None:
        self.queue = RedisJobQueue(client, keys, PARTITIONS)
        self.put: Counter[str] = Counter()
        self.dead: defaultdict[str, set[int]] = defaultdict(set)
        self.counts: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self._client = client
        self._keys = keys
        self._random = random.Random(seed)
        self._hands: list[dict[str, Hold]] = [{} for _ in range(HANDS)]
        self._owners = 0
        self._holders: dict[str, Lease] = {}
        self._steps: list[Callable[[dict[str, Hold]], object]] = [
            *[self._put] * 3,
            *[self._acquire] * 3,
            *[self._claim] * 4,
            *[self._finish] * 5,
            self._finish_again,
            self._retry,
            self._bury,
            self._leave,
            self._renew,
            *[self._expire] * 2,
            self._crash,
        ]

    def run(self, steps: int) -> None:
        """Makes so many steps."""
        for _ in range(steps):
            step = self._random.choice(self._steps)
            step(self._random.choice(self._hands))
            self.counts[step.__name__.strip("_")] += 1

    def finish_all(self) -> None:
        """All workers die, and one more does what is left."""
        for name in list(self._holders):
            self._forget(name)
        for number in range(PARTITIONS):
            hand: dict[str, Hold] = {}
            self._take(hand, str(number))
            while self._claim(hand):
                while any(hold.lanes for hold in hand.values()):
                    self._finish(hand)

    def _put(self, _: dict[str, Hold]) -> None:
        key = f"thread:{self._random.randrange(KEYS)}"
        assert self.queue.put(Event("comment.created", (key,), {"number": self.put[key]}))
        self.put[key] += 1

    def _acquire(self, hand: dict[str, Hold]) -> None:
        name = str(self._random.randrange(PARTITIONS))
        if name not in hand:
            self._take(hand, name)

    def _take(self, hand: dict[str, Hold], name: str) -> None:
        self._owners += 1
        lease = self.queue.leases.acquire(name, f"worker-{self._owners}", LEASE_SECONDS)
        assert (lease is None) == (name in self._holders), "one holder at a time"
        if lease is not None:
            hand[name] = Hold(lease)
            self._holders[name] = lease

    def _renew(self, hand: dict[str, Hold]) -> None:
        for name, hold in list(hand.items()):
            holds = self._holders.get(name) == hold.lease
            assert self.queue.leases.renew(hold.lease, LEASE_SECONDS) == holds
            if not holds:
                del hand[name]

    def _expire(self, _: dict[str, Hold]) -> None:
        if self._holders:
            self._forget(self._random.choice(list(self._holders)))

    def _forget(self, name: str) -> None:
        """The lease runs out; who held it is a zombie from here on, and does not know."""
        assert self._client.delete(self._keys.lease(name)) == 1
        del self._holders[name]

    def _crash(self, hand: dict[str, Hold]) -> None:
        hand.clear()

    def _claim(self, hand: dict[str, Hold]) -> int:
        hold = self._any(hand)
        if hold is None:
            return 0
        count = self._random.randint(1, MOST_CLAIMED)
        jobs = self._do(hand, hold, lambda: self.queue.claim(hold.lease, hold.position, count))
        for job in jobs or ():
            event = job.event()
            self.attempts[event.id] += 1
            assert job.attempts == self.attempts[event.id], "every attempt is counted, once"
            hold.position = job.entry_id
            hold.lanes.setdefault(event.key, deque()).append((job, event))
        return len(jobs or ())

    def _finish(self, hand: dict[str, Hold]) -> None:
        hold = self._any(hand)
        if hold is None or not hold.lanes:
            return
        batch: list[Finished] = []
        for key in self._random.sample(list(hold.lanes), self._random.randint(1, len(hold.lanes))):
            for _ in range(self._random.randint(1, len(hold.lanes[key]))):
                job, event = self._take_off(hold, key)
                batch.append(Finished(job.entry_id, (frame_of(event),)))
        hold.last = batch
        ended = self._do(hand, hold, lambda: self.queue.finish(hold.lease, batch))
        assert ended in (None, len(batch)), "what this holder claimed nobody else has ended"

    def _finish_again(self, hand: dict[str, Hold]) -> None:
        hold = self._any(hand)
        if hold is not None and hold.last:
            last = hold.last
            ended = self._do(hand, hold, lambda: self.queue.finish(hold.lease, last))
            assert ended in (None, 0), "what was finished before is finished once"

    def _retry(self, hand: dict[str, Hold]) -> None:
        hold = self._any(hand)
        if hold is None or not hold.lanes:
            return
        job, event = hold.lanes[self._random.choice(list(hold.lanes))][0]
        attempts = self._do(hand, hold, lambda: self.queue.retry(hold.lease, job.entry_id))
        if attempts is not None:
            self.attempts[event.id] += 1
            assert attempts == self.attempts[event.id]

    def _bury(self, hand: dict[str, Hold]) -> None:
        hold = self._any(hand)
        if hold is None or not hold.lanes:
            return
        job, event = self._take_off(hold, self._random.choice(list(hold.lanes)))
        if self._do(hand, hold, lambda: self.queue.bury(hold.lease, job.entry_id, "poison")):
            self.dead[event.key].add(event.data["number"])

    def _leave(self, hand: dict[str, Hold]) -> None:
        """A worker is told to stop: it gives its claims back, and then its lease."""
        hold = self._any(hand)
        if hold is None:
            return
        jobs = [entry for lane in hold.lanes.values() for entry in lane]
        entry_ids = [job.entry_id for job, _ in jobs]
        given_back = self._do(hand, hold, lambda: self.queue.cancel(hold.lease, entry_ids))
        if given_back is None:
            return
        assert given_back == len(jobs)
        for _, event in jobs:
            self.attempts[event.id] -= 1
        assert self.queue.leases.release(hold.lease)
        del self._holders[hold.lease.name]
        del hand[hold.lease.name]

    def _any(self, hand: dict[str, Hold]) -> Hold | None:
        return self._random.choice(list(hand.values())) if hand else None

    def _take_off(self, hold: Hold, key: str) -> tuple[Job, Event]:
        entry = hold.lanes[key].popleft()
        if not hold.lanes[key]:
            del hold.lanes[key]
        return entry

    def _do(
        self, hand: dict[str, Hold], hold: Hold, command: Callable[[], Answer]
    ) -> Answer | None:
        """Makes a step that needs the lease; None when it was refused, as it must be if it is
        another's or nobody's, and only then.
        """
        holds = self._holders.get(hold.lease.name) == hold.lease
        try:
            answer = command()
        except LeaseLost:
            assert not holds, "a holder was refused"
            self.counts["refused"] += 1
            del hand[hold.lease.name]
            return None
        assert holds, "a zombie was not refused"
        return answer
