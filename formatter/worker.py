"""The worker: one process, one event loop; holds its fair share of the partitions and works them.

A greenlet renews the leases, one takes and gives back partitions, one claims. Everything else
happens in `formatter.partition`.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from functools import partial

import gevent
import redis
from gevent import Greenlet, monkey
from gevent.event import Event as Flag
from gevent.lock import BoundedSemaphore

from formatter.attempt import Attempts
from formatter.errors import FormatterError
from formatter.lanes import Lanes
from formatter.partition import Partition, in_flight
from pushgate import JobQueue, LeaseLost
from pushgate.leases import RENEW_SECONDS

logger = logging.getLogger("formatter")

WAIT_SECONDS = 0.5
"""How long one look for jobs may block: a partition taken meanwhile waits so long at the most."""

DRAIN_SECONDS = 8.0
"""How long a stopping worker waits for what it has begun."""


def new_owner() -> str:
    """A name for this process that no other ever had: host, pid and chance."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Worker:
    """Works the partitions it can get until it is told to stop.

    Args:
        queue: where jobs come from; frames go to its log.
        attempts: what works on them.
        owner: a name that no other process ever had.
        on_turn: called whenever stages that only compute give way, a hundred times a second.
    """

    def __init__(
        self,
        queue: JobQueue,
        attempts: Attempts,
        owner: str | None = None,
        on_turn: Callable[[], None] | None = None,
    ) -> None:
        self.owner = owner or new_owner()
        self._queue = queue
        self._attempts = attempts
        self._audience = attempts.audience
        self._held: dict[str, Partition] = {}
        self._stopping = Flag()
        self._drained = Flag()
        self._balancing = BoundedSemaphore(1)
        self._lanes = Lanes(on_turn)

    @property
    def partitions(self) -> set[str]:
        """The names of the partitions held."""
        return set(self._held)

    @property
    def jobs_in_flight(self) -> int:
        """How many jobs are claimed and not finished."""
        return in_flight(self._held.values())

    def run(self) -> None:
        """Works until `stop`, then gives everything back.

        Raises:
            FormatterError: gevent has not patched the sockets, so one wait would stop everything.
        """
        if not monkey.is_module_patched("socket"):
            raise FormatterError("the worker needs gevent's patches: start python -m formatter")
        own = [
            _start(self._lanes.run, "lanes"),
            _start(self._attempts.keep_deadlines, "deadline keeper"),
            _start(partial(self._repeat, self.renew), "lease keeper"),
            _start(partial(self._repeat, self.balance), "balancer"),
        ]
        logger.info("worker %s: started", self.owner)
        try:
            while not self._stopping.is_set():
                self._survive_redis(self._turn)
            self._drain()
        finally:
            # A lease may be on its way to the balancer, who alone knows of it, when its turn ends.
            with self._balancing:
                for greenlet in own:
                    greenlet.kill(block=False)
                self._survive_redis(self._give_back)

    def stop(self) -> None:
        """Claims no more; `run` returns when what was begun is finished or the deadline passed."""
        self._stopping.set()

    def renew(self) -> None:
        """One turn of the lease keeper: nothing else may hold this up, least of all a busy loop, in
        which every answer is late; so it is one question for all leases.
        """
        held = list(self._held.items())
        renewed = self._queue.leases.renew_all([partition.lease for _, partition in held])
        for (name, partition), is_ours in zip(held, renewed, strict=True):
            if self._held.get(name) is partition and (partition.lost or not is_ours):
                partition.abandon()
                del self._held[name]
                logger.warning("worker %s: lost partition %s", self.owner, name)
                self._audience.lease_lost(name)

    def balance(self) -> None:
        """One turn of the balancer: take up to the fair share, give back the rest."""
        with self._balancing:
            self._balance()

    def _balance(self) -> None:
        paused = self._queue.paused()
        for name, partition in self._held.items():
            partition.paused = name in paused
        share = self._queue.leases.attend(self.owner).share(self._queue.partitions)
        for place, partition in enumerate(list(self._held.values())):
            if place >= share and not partition.leaving:
                partition.leave()
            if partition.leaving and partition.in_flight == 0:
                self._release(partition)
        for name in map(str, range(self._queue.partitions)):
            if len(self._held) >= share or self._stopping.is_set():
                return
            if name not in self._held:
                lease = self._queue.leases.acquire(name, self.owner)
                if lease is not None:
                    taken = Partition(
                        lease, self._queue, self._lanes, self._attempts, self._drained.set
                    )
                    taken.paused = name in paused
                    self._held[name] = taken
                    self._audience.lease_taken(name)

    def _repeat(self, turn: Callable[[], None]) -> None:
        while True:
            began = time.monotonic()
            self._survive_redis(turn)
            # By the clock, and not so long after the last turn, which may have taken long.
            gevent.sleep(max(0.0, began + RENEW_SECONDS - time.monotonic()))

    def _turn(self) -> None:
        self._drained.clear()
        taking = {n: p for n, p in self._held.items() if p.takes_jobs}
        with_room = {n: p for n, p in taking.items() if p.has_room}
        if not with_room:
            self._drained.wait(WAIT_SECONDS / 10)
            return
        all_have_room = len(with_room) == len(taking)
        positions = {name: partition.position for name, partition in with_room.items()}
        ready = self._queue.wait(positions, WAIT_SECONDS if all_have_room else 0)
        for name in ready:
            if not with_room[name].takes_jobs:
                # Given back, or paused, while we waited.
                continue
            try:
                with_room[name].claim()
            except LeaseLost as error:
                logger.warning("%s", error)
                self._audience.refused(name)
                with_room[name].abandon()
        if not ready and not all_have_room:
            self._drained.wait(WAIT_SECONDS)
        # The lanes run when this greenlet lets them, also while jobs come in without a pause.
        gevent.sleep(0)

    def _drain(self) -> None:
        give_up_at = time.monotonic() + DRAIN_SECONDS
        # Side by side and within the deadline: without Redis nobody can give anything back.
        leaving = [gevent.spawn(partition.leave) for partition in self._held.values()]
        gevent.joinall(leaving, timeout=DRAIN_SECONDS)
        while in_flight(self._held.values()) and time.monotonic() < give_up_at:
            self._drained.clear()
            self._drained.wait(WAIT_SECONDS / 10)
        given_back = sum(greenlet.value or 0 for greenlet in leaving)
        logger.info(
            "worker %s: stopped, %d jobs given back, %d left unfinished",
            *(self.owner, given_back, in_flight(self._held.values())),
        )

    def _give_back(self) -> None:
        for partition in list(self._held.values()):
            self._release(partition)
        self._queue.leases.leave(self.owner)

    def _release(self, partition: Partition) -> None:
        partition.abandon()
        self._held.pop(partition.lease.name, None)
        self._queue.leases.release(partition.lease)
        self._audience.lease_released(partition.lease.name)

    def _survive_redis(self, step: Callable[[], None]) -> None:
        try:
            step()
        except redis.RedisError as error:
            logger.warning("worker %s: Redis: %s", self.owner, error)
            gevent.sleep(RENEW_SECONDS / 4)


def _start(work: Callable[[], None], name: str) -> Greenlet[..., None]:
    greenlet = gevent.spawn(work)
    greenlet.name = name
    greenlet.link_exception(_end_process)
    return greenlet


def _end_process(greenlet: Greenlet[..., None]) -> None:
    """A worker that lacks one of its own greenlets does harm; its successor starts clean."""
    logger.critical("%s failed: %r; the process ends", greenlet.name, greenlet.exception)
    os._exit(70)
