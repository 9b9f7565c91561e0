"""One leased partition at work: jobs in lanes by their key, results back in batches.

A lane is the jobs of one ordering key. Lanes run side by side, the jobs of a lane one after the
other; what is done is finished in the order it was done, as many at once as there are. So a key
keeps its order, and a slow key holds up nobody else.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import gevent
import redis
from gevent.event import Event as Flag
from gevent.pool import Pool

from formatter.errors import TransientError
from formatter.registry import Pipelines
from pushgate import Event, Finished, InvalidEvent, Job, JobQueue, Lease, LeaseLost, Outcome
from pushgate.job_queue import FROM_THE_START

logger = logging.getLogger("formatter")

MOST_IN_FLIGHT = 500
"""Jobs of a partition claimed and not finished; at this number no more are claimed."""

MOST_ATTEMPTS = 5
"""A job tried this often without an end goes to the dead letters."""

BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0

FINISH_BATCH = 100

Answer = TypeVar("Answer")


class Partition:
    """The jobs of one lease, from claim to finish.

    Args:
        lease: the partition's.
        queue: where jobs come from and go back to.
        pipelines: what an event goes through.
        pool: bounds the lanes of all partitions together.
        on_drained: called when there is room for more jobs again.

    Attributes:
        lease: the partition's.
        position: the entry behind which to claim.
        lost: set once the lease turned out to be somebody else's; nothing is written any more.
        leaving: set when the partition is to be given back: what was claimed is still finished.
        paused: set while an operator wants nothing claimed.
    """

    def __init__(
        self,
        lease: Lease,
        queue: JobQueue,
        pipelines: Pipelines,
        pool: Pool,
        on_drained: Callable[[], None],
    ) -> None:
        self.lease = lease
        self.position = FROM_THE_START
        self.lost = False
        self.leaving = False
        self.paused = False
        self._queue = queue
        self._pipelines = pipelines
        self._pool = pool
        self._on_drained = on_drained
        self._lanes: dict[str, deque[tuple[Job, Event]]] = {}
        self._in_flight = 0
        self._done: deque[Finished] = deque()
        self._something_done = Flag()
        finisher = gevent.spawn(self._finish_what_is_done)
        finisher.name = f"finisher of partition {lease.name}"
        finisher.link_exception(self._break)

    @property
    def in_flight(self) -> int:
        """Jobs claimed and not yet finished."""
        return self._in_flight

    @property
    def has_room(self) -> bool:
        """Whether there is room for more jobs now."""
        return self._in_flight < MOST_IN_FLIGHT

    @property
    def takes_jobs(self) -> bool:
        """Whether jobs are to be claimed at all."""
        return not (self.lost or self.leaving or self.paused)

    def claim(self) -> int:
        """Claims the next jobs and puts each into its lane; returns how many.

        Raises:
            LeaseLost: the partition is somebody else's.
        """
        jobs = self._queue.claim(self.lease, self.position, MOST_IN_FLIGHT - self._in_flight)
        for job in jobs:
            self.position = job.entry_id
            self._in_flight += 1
            self._accept(job)
        return len(jobs)

    def abandon(self) -> None:
        """Works and writes no more; what was not finished is the next holder's."""
        self.lost = True
        self._lanes.clear()
        self._done.clear()
        self._something_done.set()

    def _break(self, greenlet: Any) -> None:
        """A greenlet failed where nothing should: let go, so that the next holder starts clean."""
        logger.error("%s failed: %r", greenlet.name, greenlet.exception)
        self.abandon()

    def _accept(self, job: Job) -> None:
        try:
            event = job.event()
        except InvalidEvent as error:
            self._bury(job, f"malformed: {error}")
            return
        if job.attempts > MOST_ATTEMPTS:
            self._bury(job, f"claimed {job.attempts} times and never finished")
            return
        lane = self._lanes.get(event.key)
        if lane is not None:
            lane.append((job, event))
            return
        self._lanes[event.key] = deque([(job, event)])
        greenlet = self._pool.spawn(self._run_lane, event.key)
        greenlet.name = f"lane {event.key} of partition {self.lease.name}"
        greenlet.link_exception(self._break)

    def _run_lane(self, key: str) -> None:
        lane = self._lanes[key]
        while lane and not self.lost:
            job, event = lane[0]
            self._work_on(job, event)
            lane.popleft()
        if self._lanes.get(key) is lane:
            del self._lanes[key]

    def _work_on(self, job: Job, event: Event) -> None:
        attempts = job.attempts
        while not self.lost:
            try:
                frames = self._pipelines.for_type(event.type).run(event)
            except TransientError as error:
                logger.warning("event %s: attempt %d failed: %s", event.id, attempts, error)
                if attempts >= MOST_ATTEMPTS:
                    self._bury(job, f"{attempts} attempts: {error}")
                    return
                gevent.sleep(_backoff_seconds(attempts))
                counted = self._ask(partial(self._queue.retry, self.lease, job.entry_id))
                attempts = counted if counted is not None else attempts
            except Exception as error:
                # The boundary of a job: whatever a site's stage raises ends this job alone.
                logger.exception("event %s: its pipeline failed", event.id)
                self._bury(job, f"{type(error).__name__}: {error}")
                return
            else:
                outcome = Outcome.PUBLISHED if frames else Outcome.SUPPRESSED
                self._done.append(Finished(job.entry_id, frames, outcome))
                self._something_done.set()
                return

    def _finish_what_is_done(self) -> None:
        while not self.lost:
            self._something_done.wait()
            self._something_done.clear()
            while self._done:
                batch = [self._done.popleft() for _ in range(min(FINISH_BATCH, len(self._done)))]
                self._ask(partial(self._queue.finish, self.lease, batch))
                self._ended(len(batch))

    def _bury(self, job: Job, reason: str) -> None:
        logger.error("partition %s, job %s: dead: %s", self.lease.name, job.entry_id, reason[:500])
        self._ask(partial(self._queue.bury, self.lease, job.entry_id, reason[:2000]))
        self._ended(1)

    def _ended(self, jobs: int) -> None:
        self._in_flight -= jobs
        self._on_drained()

    def _ask(self, operation: Callable[[], Answer]) -> Answer | None:
        """Repeats an operation until Redis has answered; None when the lease was lost meanwhile.

        Each operation may be repeated: what was done before is not done again.
        """
        failures = 0
        while not self.lost:
            try:
                return operation()
            except LeaseLost as error:
                logger.warning("%s", error)
                self.abandon()
            except redis.RedisError as error:
                failures += 1
                if failures == 1:
                    logger.warning("partition %s: Redis: %s", self.lease.name, error)
                gevent.sleep(_backoff_seconds(failures))
        return None


def _backoff_seconds(failures: int) -> float:
    """Full jitter: uniform between nothing and a bound that doubles (Brooker, AWS, 2015)."""
    return random.uniform(0, min(LONGEST_BACKOFF_SECONDS, BACKOFF_SECONDS * 2 ** (failures - 1)))


def in_flight(partitions: Iterable[Partition]) -> int:
    """Jobs claimed and not yet finished, in all of them."""
    return sum(partition.in_flight for partition in partitions)
