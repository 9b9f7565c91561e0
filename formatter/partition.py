"""One leased partition at work: jobs in lanes by their key, results back in batches.

What ends, ends in the order it came to an end, as many at once as there are; so a key keeps its
order, and a slow key holds up nobody else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import islice, takewhile
from typing import Any, TypeVar

import gevent
import redis

from formatter.attempt import SUSPECT_ATTEMPTS, Attempts
from formatter.backoff import full_jitter
from formatter.ended import Burial, EndedJobs, Together
from formatter.errors import EventExpired, NoProcess, TransientError, reason_of, text_of
from formatter.lanes import Lane, Lanes
from formatter.logs import about, working_on
from formatter.pipeline import Pipeline
from pushgate import (
    Event,
    Finished,
    Frame,
    Job,
    JobQueue,
    Lease,
    LeaseLost,
    Outcome,
    PushgateError,
)
from pushgate.job_queue import FROM_THE_START

logger = logging.getLogger("formatter")

MOST_IN_FLIGHT = 500
"""Jobs of a partition claimed and not finished; at this number no more are claimed."""

MOST_ATTEMPTS = 5
"""A job tried this often without an end goes to the dead letters."""

MOST_GATHERED = 400
"""Jobs that may become one; below `MOST_IN_FLIGHT`, which nothing gathers beyond."""

BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0

Answer = TypeVar("Answer")

PUBLISHED, SUPPRESSED, EXPIRED = Outcome.PUBLISHED, Outcome.SUPPRESSED, Outcome.EXPIRED


class Partition:
    """The jobs of one lease, from claim to finish.

    Args:
        lease: the partition's.
        queue: where jobs come from and go back to.
        lanes: where they wait for their turn.
        attempts: what works on them.
        on_drained: called when there is room for more jobs again.

    Attributes:
        lease: the partition's.
        position: the entry behind which to claim.
        lost: set once the lease turned out to be somebody else's; nothing is written any more.
        leaving: set when the partition is to be given back: what has begun is still finished.
        paused: set while an operator wants nothing claimed.
    """

    def __init__(
        self,
        lease: Lease,
        queue: JobQueue,
        lanes: Lanes,
        attempts: Attempts,
        on_drained: Callable[[], None],
    ) -> None:
        self.lease = lease
        self.position = FROM_THE_START
        self.lost = False
        self.leaving = False
        self.paused = False
        self._queue = queue
        self._ready = lanes
        self._attempts = attempts
        self._audience = attempts.audience
        self._tells_ended = attempts.audience.wants("ended")
        self._on_drained = on_drained
        self._lanes: dict[str, Lane] = {}
        self._in_flight = 0
        self._ended = EndedJobs()
        finisher = gevent.spawn(self._write_what_ended)
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
        """Claims the next jobs, unless it takes none now, and puts each into its lane.

        Returns:
            How many.

        Raises:
            LeaseLost: the partition is somebody else's.
        """
        if not self.takes_jobs:
            return 0
        # What is asked for is in flight as well: nobody gives the lease back meanwhile.
        self._in_flight += 1
        try:
            room = MOST_IN_FLIGHT + 1 - self._in_flight
            jobs = self._queue.claim(self.lease, self.position, room)
            if self.leaving and jobs:
                # Jobs before these were given back meanwhile, and come first.
                self._ask(partial(self._queue.cancel, self.lease, [job.entry_id for job in jobs]))
        finally:
            if not self.lost:
                self._in_flight -= 1
        if self.lost or self.leaving:
            return 0
        for job in jobs:
            self.position = job.entry_id
            self._in_flight += 1
            self._accept(job)
        self._audience.claimed(self.lease.name, len(jobs))
        return len(jobs)

    def leave(self) -> int:
        """Begins no more jobs and gives back those that have not begun, as if never claimed.

        Returns:
            How many, those among them that wait for another attempt.
        """
        self.leaving = True
        not_begun: list[str] = []
        dropped = 0
        for key, lane in list(self._lanes.items()):
            kept = lane.together if lane.running else 0
            begun = 1 if lane.attempts else 0
            not_begun += [job.entry_id for job, _ in list(lane.jobs)[max(kept, begun) :]]
            dropped += len(lane.jobs) - kept
            while len(lane.jobs) > kept:
                lane.jobs.pop()
            if not lane.jobs:
                del self._lanes[key]
        if not_begun:
            self._ask(partial(self._queue.cancel, self.lease, not_begun))
        if dropped and not self.lost:
            self._count_ended(dropped)
        return dropped

    def abandon(self) -> None:
        """Works and writes no more; what was not finished is the next holder's."""
        self.lost = True
        self._in_flight = 0
        self._lanes.clear()
        self._ended.clear()

    def step(self, lane: Lane) -> bool:
        """See `LaneHome.step`. A failure here is no job's: the partition is let go of."""
        try:
            return self._step(lane)
        except Exception as error:
            logger.exception("partition %s: given up", self.lease.name, exc_info=error)
            self.abandon()
            return False

    def _break(self, greenlet: Any) -> None:
        """A greenlet failed where nothing should: let go, so that the next holder starts clean."""
        logger.error("%s failed: %r", greenlet.name, greenlet.exception)
        self.abandon()

    def _accept(self, job: Job) -> None:
        try:
            event = job.event()
        except PushgateError as error:
            logger.error(
                "partition %s, job %s: malformed: %s", self.lease.name, job.entry_id, error
            )
            self._audience.ended(None, "dead", job.attempts, 0.0)
            self._ended.add(Burial(job.entry_id, f"malformed: {text_of(error)}", ()))
            return
        lane = self._lanes.get(event.key)
        if lane is None:
            lane = self._lanes[event.key] = Lane(self, event.key)
            self._ready.make_ready(lane)
        lane.jobs.append((job, event))

    def _step(self, lane: Lane) -> bool:
        if self.lost or not lane.jobs:
            return False
        job, event = lane.jobs[0]
        together = 1
        if lane.attempts:
            counted = self._ask(partial(self._queue.retry, self.lease, job.entry_id))
            if counted is None:
                return False
            if not counted:
                # It had ended already: an operator took it off the queue.
                self._count_ended(1)
                return self._go_on(lane, 1)
            lane.attempts = counted
        else:
            together = self._begin(lane)
            if not together:
                return False
            lane.attempts = job.attempts
            lane.together = together
        ended = self._attempt(lane, together)
        working_on.set(None)
        if ended is None or self.lost:
            return False
        self._ended.add(ended)
        return self._go_on(lane, len(ended.jobs) if isinstance(ended, Together) else 1)

    def _go_on(self, lane: Lane, ended: int) -> bool:
        """Takes what ended off the head of a lane; True when there is more in it."""
        lane.attempts = 0
        lane.tries = 0
        lane.together = 1
        lane.gathered = False
        for _ in range(ended):
            lane.jobs.popleft()
        if lane.jobs:
            return True
        del self._lanes[lane.key]
        return False

    def _begin(self, lane: Lane) -> int:
        """How many jobs at the head of a lane go together; 0 when the first waits for others."""
        job, event = lane.jobs[0]
        if job.attempts >= SUSPECT_ATTEMPTS:
            return 1
        pipeline = self._attempts.pipeline_of(event)
        if not self._attempts.gathers(pipeline):
            return 1
        try:
            if lane.gathered:
                joining = self._attempts.joining(event, self._candidates(lane, pipeline), pipeline)
                return min(1 + joining, len(lane.jobs))
            seconds = self._attempts.gather(event, pipeline)
        except Exception:
            # The boundary of a job: it goes on alone.
            logger.exception("it is not known what to gather", extra=about(event))
            return 1
        if not seconds > 0 or self.leaving:
            return 1
        lane.gathered = True
        self._ready.make_ready_later(lane, seconds)
        return 0

    def _candidates(self, lane: Lane, pipeline: Pipeline) -> list[Event]:
        """The events of a lane that may go with its first."""
        return [
            event
            for _, event in takewhile(
                lambda entry: (
                    entry[0].attempts < SUSPECT_ATTEMPTS
                    and self._attempts.pipeline_of(entry[1]) is pipeline
                ),
                islice(lane.jobs, 1, MOST_GATHERED),
            )
        ]

    def _attempt(self, lane: Lane, together: int) -> Together | Burial | None:
        """Works on the head of a lane; None when another attempt is to follow."""
        job, event = lane.jobs[0]
        attempts = lane.attempts
        if job.attempts > MOST_ATTEMPTS and not self._attempts.isolates:
            return self._burial(job, event, f"claimed {job.attempts} times and never finished")
        if together > 1:
            ended = self._attempt_together(list(islice(lane.jobs, together)))
            if ended is not None or self.lost:
                return ended
            lane.together = 1
            if self.leaving:
                self.leave()
        lane.tries += 1
        working_on.set((event, attempts))
        self._audience.began(event, attempts)
        try:
            frames = self._attempts.run(event, self._attempts.pipeline_of(event), job.attempts)
        except EventExpired:
            return Together((self._finished(job, event, (), attempts, EXPIRED),))
        except Exception as error:
            # The boundary of a job: whatever a site's stage raises ends this job alone.
            return self._failed(lane, error)
        return Together((self._finished(job, event, frames, attempts),))

    def _failed(self, lane: Lane, error: Exception) -> Together | Burial | None:
        """What a failed attempt leads to; None when another is to follow."""
        job, event = lane.jobs[0]
        attempts, reason = lane.attempts, reason_of(error)
        if self.lost:
            self._audience.retried(event, attempts, error)
            return None
        if not isinstance(error, TransientError):
            logger.error("the pipeline failed", extra=about(event), exc_info=error)
            return self._burial(job, event, reason, attempts)
        # Claims count as attempts, but who died with them may have died of something else.
        # Where no process can be started, nothing is known of the event at all.
        told_by_event = lane.tries > 1 and not isinstance(error, NoProcess)
        if attempts >= MOST_ATTEMPTS and told_by_event:
            return self._burial(job, event, f"{attempts} attempts: {reason}", attempts)
        logger.warning("attempt %d failed: %s", attempts, reason, extra=about(event))
        self._audience.retried(event, attempts, error)
        self._ready.make_ready_later(lane, _backoff_seconds(attempts))
        return None

    def _attempt_together(self, jobs: Sequence[tuple[Job, Event]]) -> Together | Burial | None:
        """Makes one event of several; None when that fails and each is to go alone."""
        *others, (job, last) = jobs
        event = None
        try:
            pipeline = self._attempts.pipeline_of(last)
            event = self._attempts.collapse([event for _, event in jobs], pipeline)
            working_on.set((event, job.attempts))
            self._audience.began(event, job.attempts)
            frames = self._attempts.run(event, pipeline, job.attempts)
        except EventExpired:
            return Together(tuple(self._finished(j, e, (), j.attempts, EXPIRED) for j, e in jobs))
        except Exception as error:
            # The boundary of a job: the head of the lane goes on alone, and the others after it.
            logger.exception("%d events could not be collapsed", len(jobs), extra=about(last))
            if event is not None:
                self._audience.retried(event, job.attempts, error)
            return None
        ended = [self._finished(other, event, (), other.attempts) for other, event in others]
        return Together((*ended, self._finished(job, event, frames, job.attempts)))

    def _finished(
        self,
        job: Job,
        event: Event,
        frames: tuple[Frame, ...],
        attempts: int,
        without_frames: Outcome = SUPPRESSED,
    ) -> Finished:
        outcome = PUBLISHED if frames else without_frames
        if self._tells_ended:
            self._audience.ended(event, outcome.value, attempts, seconds_since(event))
        return Finished(job.entry_id, frames, outcome)

    def _burial(self, job: Job, event: Event, reason: str, attempts: int = 0) -> Burial:
        attempts = attempts or job.attempts
        self._audience.ended(event, "dead", attempts, seconds_since(event))
        logger.error("dead after %d attempts: %s", attempts, reason[:500], extra=about(event))
        try:
            frames = self._attempts.gone(event, self._attempts.pipeline_of(event), job.attempts)
        except Exception:
            # The boundary of a job, as above.
            logger.exception("no tombstone could be made", extra=about(event))
            frames = ()
        return Burial(job.entry_id, reason, frames)

    def _write_what_ended(self) -> None:
        while not self.lost:
            self._ended.wait()
            while (ended := self._ended.take()) is not None:
                if isinstance(ended, Burial):
                    self._ask(partial(self._queue.bury, self.lease, *ended))
                    self._count_ended(1)
                else:
                    self._ask(partial(self._queue.finish, self.lease, ended))
                    self._count_ended(len(ended))
                    self._audience.finished(self.lease.name, len(ended))

    def _count_ended(self, jobs: int) -> None:
        if not self.lost:
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
                self._audience.refused(self.lease.name)
                self.abandon()
            except redis.RedisError as error:
                failures += 1
                if failures == 1:
                    logger.warning("partition %s: Redis: %s", self.lease.name, error)
                gevent.sleep(_backoff_seconds(failures))
        return None


def seconds_since(event: Event) -> float:
    """How long ago the event happened, by the clocks of two machines."""
    return time.time() - datetime.fromisoformat(event.at).timestamp()


def _backoff_seconds(failures: int) -> float:
    return full_jitter(failures, BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)


def in_flight(partitions: Iterable[Partition]) -> int:
    """Jobs claimed and not yet finished, in all of them."""
    return sum(partition.in_flight for partition in partitions)
