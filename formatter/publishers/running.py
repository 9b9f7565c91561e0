"""The publishers of one process: takes its fair share of them by lease and keeps them at work."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Sequence

import gevent
import redis

from formatter.observers import Audience
from formatter.publishers.follower import Follower
from formatter.publishers.gate import backoff_seconds
from formatter.publishers.publisher import Publisher
from pushgate.leases import LEASE_SECONDS, RENEW_SECONDS, LeaseStore
from pushgate.positions import Positions, lease_name

logger = logging.getLogger("formatter")


class Publishers:
    """Runs publishers, each in one process of all.

    Nothing that happens here reaches the worker: what a publisher raises is logged, and it begins
    anew later each time.

    Args:
        publishers: all that there are; every process names the same.
        leases: by which the processes share them.
        positions: where each stands in the log.
        owner: a name that no other process ever had: the worker's.
        audience: told what happens.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        leases: LeaseStore,
        positions: Positions,
        owner: str,
        audience: Audience | None = None,
    ) -> None:
        self._publishers = {publisher.name: publisher for publisher in publishers}
        self._leases = leases
        self._positions = positions
        self._owner = owner
        self._audience = audience or Audience()
        self._running: dict[str, tuple[Follower, gevent.Greenlet[..., None]]] = {}
        self._failures: defaultdict[str, int] = defaultdict(int)
        self._rests_until: dict[str, float] = {}
        self._stopping = False
        self._keeper: gevent.Greenlet[[], None] | None = None

    @property
    def names(self) -> set[str]:
        """The publishers that run here."""
        return set(self._running)

    def start(self) -> None:
        """Begins to take publishers; returns at once."""
        if self._publishers and self._keeper is None:
            self._keeper = gevent.spawn(self._keep)
            self._keeper.name = "keeper of the publishers"

    def leave(self) -> None:
        """Begins no further sending; returns at once. `stop` follows."""
        self._stopping = True
        for follower, _ in self._running.values():
            follower.leave()

    def stop(self, deadline_seconds: float) -> int:
        """Begins no further sending, waits for those under way, books them, gives the leases back.

        Returns:
            How many publishers were still at work at the deadline; their leases run out, and what
            they had not booked is sent again by whoever takes them.
        """
        self.leave()
        gevent.joinall([greenlet for _, greenlet in self._running.values()], deadline_seconds)
        if self._keeper is not None:
            self._keeper.join(0)
        at_work = sum(not greenlet.ready() for _, greenlet in self._running.values())
        try:
            self._drop_what_ended()
        except redis.RedisError as error:
            logger.warning("publishers: Redis: %s", error)
        for publisher in self._publishers.values():
            publisher.close()
        logger.info("publishers: stopped, %d still at work", at_work)
        return at_work

    def balance(self) -> None:
        """One turn of the keeper: renew, take up to the fair share, give back the rest."""
        self._drop_what_ended()
        for name, (follower, _) in list(self._running.items()):
            now = time.monotonic()
            if follower.lost or not self._leases.renew(follower.lease):
                logger.warning("publisher %s: lost its lease", name)
                follower.lose()
                self._drop(name)
            else:
                follower.lease_until = now + LEASE_SECONDS
        if self._stopping:
            return
        share = self._positions.attendance(self._owner).share(len(self._publishers))
        for follower, _ in list(self._running.values())[share:]:
            follower.leave()
        for name, publisher in self._publishers.items():
            if len(self._running) >= share:
                break
            if name not in self._running and time.monotonic() >= self._rests_until.get(name, 0.0):
                self._take(publisher)

    def _take(self, publisher: Publisher) -> None:
        lease = self._leases.acquire(lease_name(publisher.name), self._owner)
        if lease is None:
            return
        follower = Follower(publisher, lease, self._positions, self._audience)
        greenlet = gevent.spawn(self._run, follower)
        greenlet.name = f"publisher {publisher.name}"
        self._running[publisher.name] = (follower, greenlet)

    def _run(self, follower: Follower) -> None:
        name = follower.publisher.name
        began = time.monotonic()
        try:
            follower.run()
            self._failures[name] = 0
        except Exception:
            now = time.monotonic()
            # One that worked for a while begins anew as if it were its first failure.
            self._failures[name] = self._failures[name] + 1 if now - began < 60 else 1
            self._rests_until[name] = now + backoff_seconds(self._failures[name])
            logger.exception("publisher %s failed", name)

    def _drop_what_ended(self) -> None:
        for name, (follower, greenlet) in list(self._running.items()):
            if greenlet.ready():
                self._drop(name)
                self._leases.release(follower.lease)

    def _drop(self, name: str) -> None:
        del self._running[name]
        # Whoever follows now says how far behind it is; here nobody knows any more.
        self._audience.lag(name, 0.0)

    def _keep(self) -> None:
        while not self._stopping or self._running:
            try:
                self.balance()
                gevent.sleep(RENEW_SECONDS)
            except redis.RedisError as error:
                logger.warning("publishers: Redis: %s", error)
                gevent.sleep(RENEW_SECONDS / 4)


def start(
    publishers: Sequence[Publisher],
    leases: LeaseStore,
    positions: Positions,
    owner: str,
    audience: Audience | None = None,
) -> Publishers:
    """Starts the publishers of this process; see `Publishers`."""
    running = Publishers(publishers, leases, positions, owner, audience)
    running.start()
    return running
