"""A namespace with a queue and formatter processes that work it, for the formatter's tests."""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from pushgate import (
    Event,
    Keys,
    Ledger,
    LogEntry,
    RedisJobQueue,
    RedisLog,
    connect,
    read_ledger,
)
from pushgate.job_queue import partition_of
from stack.platform import REPOSITORY
from stack.process import Process, wait_until
from stack.redis_server import RedisServer

PARTITIONS = 4
DEADLINE_SECONDS = 90

_NUMBER = re.compile(rb'"number":(-?[0-9]+)')


class Site:
    """A namespace with a queue, and formatter processes that work it.

    Attributes:
        client: a connection of the test's own.
        workers: what was started, in this order.
        restarts: how often `keep_running` has found a worker dead and started it again.
    """

    def __init__(self, server: RedisServer, namespace: str, directory: Path) -> None:
        self.client: redis.Redis = connect(server.url)
        self.keys = Keys(namespace)
        self.queue = RedisJobQueue(self.client, self.keys, PARTITIONS)
        self.log = RedisLog(self.client, self.keys)
        self.start_of_log = self.log.cursor()
        self.workers: list[Process] = []
        self.restarts = 0
        self._server = server
        self._directory = directory

    def start_worker(
        self,
        *options: str,
        module: str = "formatter",
        pipelines: str = "tests.integration.formatter_pipelines",
        runner: Sequence[str] = (),
    ) -> Process:
        """Starts one more formatter; it may not hold a partition yet when this returns.

        Args:
            options: further ones of its command line.
            module: what is started.
            pipelines: what it is given with `--pipelines`.
            runner: a command that runs the formatter's.
        """
        number = len(self.workers)
        worker = Process(
            f"formatter {number}",
            [*runner, sys.executable, "-m", module, "--pipelines", pipelines, *options],
            log=self._directory / f"formatter-{number}.log",
            directory=REPOSITORY,
            environment={
                **os.environ,
                "PUSHGATE_REDIS_URL": self._server.url,
                "PUSHGATE_NAMESPACE": self.keys.namespace,
                "PUSHGATE_PARTITIONS": str(PARTITIONS),
            },
        )
        worker.start()
        self.workers.append(worker)
        return worker

    def keep_running(self) -> None:
        """Starts the workers again that have died, as a supervisor does."""
        for worker in self.workers:
            if not worker.running:
                worker.start()
                self.restarts += 1

    def put(self, *events: Event) -> None:
        """Puts events on the queue."""
        for event in events:
            self.queue.put(event)

    def holders(self) -> dict[str, int]:
        """Owner -> number of partitions held."""
        held: defaultdict[str, int] = defaultdict(int)
        for partition in range(PARTITIONS):
            value = self.client.get(self.keys.lease(str(partition)))
            if isinstance(value, bytes):
                held[value.decode()] += 1
        owners: defaultdict[str, int] = defaultdict(int)
        for holder, partitions in held.items():
            owners[holder.partition(":")[2]] += partitions
        return dict(owners)

    def frames(self) -> list[LogEntry]:
        """Everything in the log."""
        return self.log.after(self.start_of_log.entry_id, 100_000)

    def dead_letters(self) -> list[dict[bytes, bytes]]:
        """The fields of each dead letter."""
        found: Any = self.client.xrange(self.keys.dead)
        return [fields for _, fields in found]

    def ledger(self) -> Ledger:
        """The books."""
        return read_ledger(self.client, self.keys)

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Waits for the condition, with the deadline of these tests."""
        wait_until(condition, DEADLINE_SECONDS, what)

    def wait_until_done(self) -> None:
        """Waits until no job is on the queue."""
        self.wait_until(lambda: self.ledger().queued == 0, "the queue is empty")

    def close(self) -> None:
        """Stops all workers."""
        for worker in self.workers:
            worker.stop()
        self.client.close()


@pytest.fixture
def site(redis_server: RedisServer, redis_namespace: str, tmp_path: Path) -> Iterator[Site]:
    """A site without a formatter yet."""
    site = Site(redis_server, redis_namespace, tmp_path)
    yield site
    site.close()


def events(count: int, keys: int = 1, kind: str = "comment.created") -> list[Event]:
    """Events that count up, in turn to the channels `thread:0`, `thread:1`, ..."""
    return numbered(range(count), keys, kind)


def numbered(numbers: Iterable[int], keys: int = 1, kind: str = "comment.created") -> list[Event]:
    """Events with these numbers, each to the channel that its number says."""
    return [Event(kind, (f"thread:{n % keys}",), {"number": n}) for n in numbers]


def numbers_by_channel(frames: list[LogEntry]) -> dict[str, list[int]]:
    """The numbers each channel was told, in this order; tombstones are left out."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for entry in frames:
        if entry.frame.startswith(b"event: gone\n"):
            continue
        (number,) = _NUMBER.findall(entry.frame)
        for channel in entry.channels:
            found[channel].append(int(number))
    return dict(found)


def each_once_in_order(count: int, keys: int) -> dict[str, list[int]]:
    """What `numbers_by_channel` is when all of `events(count, keys)` went out as they should."""
    return {f"thread:{key}": list(range(key, count, keys)) for key in range(min(count, keys))}


def channel_in(partition: int, name: str = "thread") -> str:
    """A channel whose events go to this partition."""
    return next(
        channel
        for channel in (f"{name}:{number}" for number in range(1000))
        if partition_of(channel, PARTITIONS) == partition
    )
