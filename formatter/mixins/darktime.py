"""Darktime: real traffic for a second system that nobody sees, before it must bear it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from hashlib import blake2b

import redis

from formatter.errors import InvalidPipelines
from formatter.mixins.needs import check_number, needed
from formatter.pipeline import Pipeline
from formatter.seldom import SeldomWarning
from pushgate import (
    Event,
    InvalidSetting,
    JobQueue,
    Keys,
    RedisJobQueue,
    Settings,
    connect,
)

ANSWER_SECONDS = 1.0
"""How long one copy may take."""

PAUSE_SECONDS = 5.0
"""How long nothing is copied after the other Redis failed."""


class DarktimeMixin(Pipeline):
    """Copies a share of the events to the job queue of another namespace, as they came.

        class CommentPipeline(DarktimeMixin, RenderMarkdownMixin, Pipeline):
            darktime_namespace = "dark"
            darktime_share = 0.1

    Formatters and gateways of that namespace do with them what they would do in earnest. The share
    is one of ordering keys, so each key comes whole or not at all, and in order. A copy keeps its
    event's id: one that comes twice within an hour is dropped there.

    Nothing waits for a copy. They are sent from the side, one after the other; when there are more
    than `darktime_backlog`, or the other queue is full, slow or away, copies are dropped, counted
    and said in the log once in a while. Put the mixin left of those that drop events, but right of
    `CollapseBurstsMixin`.

    The dark system may run the same pipelines: give it `darktime_share = 0`, which turns this off.

    Attributes:
        darktime_namespace: where to; never this formatter's own (`PUSHGATE_NAMESPACE`), whichever
            Redis it is in, for two addresses may lead to one.
        darktime_redis_url: its Redis; `PUSHGATE_REDIS_URL` when not given.
        darktime_partitions: how many that namespace has; `PUSHGATE_PARTITIONS` when not given.
        darktime_share: how much of the traffic, from 0 to 1.
        darktime_backlog: copies that may wait to be sent.
    """

    darktime_namespace: str
    darktime_redis_url = ""
    darktime_partitions: int | None = None
    darktime_share = 0.1
    darktime_backlog = 1_000

    def __init__(self) -> None:
        """Reads the attributes; connects to nothing.

        Raises:
            InvalidPipelines: one is missing or wrong, or the copies would come back.
        """
        super().__init__()
        host = type(self).__name__
        if type(self.darktime_share) not in (int, float) or not 0 <= self.darktime_share <= 1:
            raise InvalidPipelines(
                f"{host}.darktime_share = {self.darktime_share!r}: use a number from 0 to 1"
            )
        check_number(self, "darktime_backlog", least=1, most=1e6, whole=True)
        self._copies = None if self.darktime_share == 0 else self._new_copies(host)

    @property
    def darktime_copied(self) -> int:
        """How many copies the other queue took."""
        return self._copies.sent if self._copies else 0

    @property
    def darktime_dropped(self) -> int:
        """How many copies were dropped."""
        return self._copies.dropped.count if self._copies else 0

    def admit(self, event: Event) -> bool:
        """See the class."""
        if self._copies is not None and _place_of(event.key) < self.darktime_share:
            self._copies.offer(event)
        return super().admit(event)

    def _new_copies(self, host: str) -> Copies:
        namespace = needed(self, DarktimeMixin, "darktime_namespace", "dark")
        own = Settings.from_environment()
        if namespace == own.namespace:
            raise InvalidPipelines(
                f"{host}.darktime_namespace = {namespace!r}: that is this formatter's own, and the "
                "copies would come back to it; use another, or darktime_share = 0"
            )
        try:
            keys = Keys(namespace)
        except InvalidSetting as error:
            raise InvalidPipelines(f"{host}.darktime_namespace: {error}") from None
        url = self.darktime_redis_url or own.redis_url
        try:
            client = connect(url, connect_seconds=ANSWER_SECONDS, answer_seconds=ANSWER_SECONDS)
        except InvalidSetting:
            raise InvalidPipelines(
                f"{host}.darktime_redis_url = {url!r}: use redis://host:port/number"
            ) from None
        if self.darktime_partitions is not None:
            check_number(self, "darktime_partitions", least=1, most=1024, whole=True)
        queue = RedisJobQueue(client, keys, self.darktime_partitions or own.partitions)
        return Copies(
            queue,
            self.darktime_backlog,
            SeldomWarning(f"{host}: copies for {namespace} dropped"),
        )


class Copies:
    """Copies on their way, sent by a thread of their own (a greenlet in the worker) that is there
    while there are any.

    Args:
        queue: where they go.
        most: how many may wait.
        dropped: is told of each that was not sent.
        clock: seconds; a test may pass its own.

    Attributes:
        sent: how many the queue took.
        dropped: as given.
    """

    def __init__(
        self,
        queue: JobQueue,
        most: int,
        dropped: SeldomWarning,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sent = 0
        self.dropped = dropped
        self._queue = queue
        self._most = most
        self._clock = clock
        self._resume_at = float("-inf")
        self._lock = threading.Lock()
        self._waiting: deque[Event] = deque()
        self._is_sending = False

    def offer(self, event: Event) -> None:
        """Has a copy sent, or drops it; returns at once."""
        if self._clock() < self._resume_at:
            self.dropped.note("the queue failed a moment ago")
            return
        with self._lock:
            is_full = len(self._waiting) >= self._most
            if not is_full:
                self._waiting.append(event)
            begins = not is_full and not self._is_sending
            self._is_sending = self._is_sending or begins
        if is_full:
            self.dropped.note(f"{self._most} are waiting")
        if begins:
            threading.Thread(target=self._send, name="darktime", daemon=True).start()

    def _send(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_sending = False
                    return
                event = self._waiting.popleft()
            try:
                self._queue.put(event)
                self.sent += 1
            except redis.RedisError as error:
                self._resume_at = self._clock() + PAUSE_SECONDS
                with self._lock:
                    dropped = 1 + len(self._waiting)
                    self._waiting.clear()
                for _ in range(dropped):
                    self.dropped.note(error)
            except Exception as error:
                # The boundary of a copy: whatever it is, the next one is sent.
                self.dropped.note(f"event {event.id}: {error!r}")


def _place_of(key: str) -> float:
    """Where a key stands between 0 and 1: by another hash than the one that chooses partitions."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) / 2**64
