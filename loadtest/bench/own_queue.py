"""A Redis with a job queue for a benchmark alone, and the processes that work it off."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import redis

from loadtest.bench.spent import Books, Spent, family_cpu_seconds, pin
from loadtest.errors import LoadTestError
from pushgate import Control, Keys, Ledger, RedisJobQueue, connect, read_ledger
from pushgate.job_queue import ForwardedRow
from pushgate.leases import RELAY
from stack.output import say
from stack.platform import REPOSITORY, Platform
from stack.process import Process, free_port, tail, wait_until
from stack.redis_server import RedisServer

PARTITIONS = 8
PIPELINES = "example_site.bench_pipelines"
"""What the formatter is given: the one place where `make bench` has pipelines of its own."""

WORKER_CORE, REDIS_CORE = 0, 1

_DEADLINE_SECONDS = 120
_LOOK_SECONDS = 0.005
_ROWS_AT_ONCE = 1000


class OwnQueue:
    """An empty Redis and the job queue in it.

    Args:
        directory: for Redis' data and the processes' logs.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._redis = RedisServer(Platform.find(), directory / "redis", free_port())
        self._processes: list[Process] = []
        self._started = 0
        self.url = self._redis.url
        self.keys = Keys("bench")
        self.client: redis.Redis = connect(self.url)
        self.queue = RedisJobQueue(self.client, self.keys, PARTITIONS)

    def start(self) -> None:
        """Start Redis, on a core of its own where there are two."""
        self._redis.start()
        pin(self._redis.pid, REDIS_CORE)

    def stop(self) -> None:
        """Stop whatever runs."""
        while self._processes:
            self._processes.pop().stop()
        self.client.close()
        self._redis.stop()

    def fill(self, events: Sequence[ForwardedRow]) -> None:
        """Empty Redis and put these events on the queue, as the relay does."""
        self.client.flushall()
        self.add(events)

    def add(self, events: Sequence[ForwardedRow]) -> None:
        """Put further events on the queue, as the relay does."""
        lease = self.queue.leases.acquire(RELAY, "bench", _DEADLINE_SECONDS)
        assert lease is not None, "nobody else relays into a Redis of our own"
        mark = self.queue.mark("bench")
        for start in range(0, len(events), _ROWS_AT_ONCE):
            rows = events[start : start + _ROWS_AT_ONCE]
            self.queue.forward(lease, "bench", mark, rows)
            mark = rows[-1][0]
        self.queue.leases.release(lease)

    def formatter(
        self,
        *options: str,
        core: int | None = WORKER_CORE,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a formatter; it ends with `end`.

        Args:
            options: of its command line; `--pipelines` is given already.
            core: the one it is kept on; None leaves it where it likes.
            environment: what it is told beside where the queue is.
        """
        command = (sys.executable, "-m", "formatter", "--pipelines", PIPELINES, *options)
        return self.process("formatter", command, core=core, environment=environment)

    def process(
        self,
        name: str,
        command: Sequence[str],
        *,
        core: int | None = WORKER_CORE,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a process that knows this queue by its environment; it ends with `end`."""
        self._started += 1
        process = Process(
            name,
            command,
            log=self._directory / f"{name}-{self._started}.log",
            directory=REPOSITORY,
            environment={
                **os.environ,
                "PUSHGATE_REDIS_URL": self.url,
                "PUSHGATE_NAMESPACE": self.keys.namespace,
                "PUSHGATE_PARTITIONS": str(PARTITIONS),
                **(environment or {}),
            },
        )
        process.start()
        self._processes.append(process)
        if core is not None:
            pin(process.pid, core)
        return process

    def end(self, process: Process) -> None:
        """Stop one of the processes."""
        self._processes.remove(process)
        process.stop()

    def wait_for_holders(self, process: Process, processes: int = 1) -> None:
        """Return when so many processes hold all partitions, and even shares of them.

        Args:
            process: one of them, or their parent.

        Raises:
            DeadlineMissed: they do not agree.
            LoadTestError: it ended.
        """
        leases = [self.keys.lease(str(partition)) for partition in range(PARTITIONS)]

        def shared() -> bool:
            found: Any = self.client.mget(leases)
            holders = [holder for holder in found if holder is not None]
            owners = Counter(holder.partition(b":")[2] for holder in holders)
            return (
                len(holders) == PARTITIONS
                and len(owners) == processes
                and max(owners.values()) <= ceil(PARTITIONS / processes)
            )

        self.wait(process, shared, f"{processes} processes hold all partitions")

    def ledger(self) -> Ledger:
        """Return the books."""
        return read_ledger(self.client, self.keys)

    def jobs_done(self) -> int:
        """Return how many jobs have ended in whatever way."""
        books = self.ledger()
        return books.accepted - books.queued

    def work_off(self, events: Sequence[ForwardedRow], start: Callable[[], Process]) -> Spent:
        """Return what all of the events took a process that has been started before.

        It holds its leases and is held up by a pause while they are put on the queue. The time on
        the wall begins with the first claim, CPU time with the end of the pause.

        Args:
            start: starts whoever takes the partitions' leases and works them off.
        """
        self.fill(events)
        control = Control(self.client, self.keys, PARTITIONS)
        for partition in range(PARTITIONS):
            control.pause(partition)
        process = start()
        self.wait_for_holders(process)
        tokens = self.client.hgetall(self.keys.fence)
        paused = self.noted(process)
        for partition in range(PARTITIONS):
            control.resume(partition)
        self.wait(process, lambda: self.client.exists(self.keys.claimed), "jobs are claimed")
        before = replace(paused, at=time.monotonic())
        self.wait(process, lambda: self.ledger().queued == 0, f"{len(events)} jobs are done")
        spent = self.noted(process).since(before, len(events))
        self.end(process)
        if self.client.hgetall(self.keys.fence) != tokens:
            say(f"{process.name} lost leases while it worked: what it did twice counts twice")
        books = self.ledger()
        if books.published + books.suppressed != len(events):
            raise LoadTestError(f"{process.name}: not all of {len(events)} jobs went well: {books}")
        return spent

    def measure(self, worker: Process, first: int, last: int) -> Spent:
        """Return what jobs took somebody in full swing.

        Args:
            worker: counts with its children.
            first: begin when at least so many are done.
            last: end when so many are done.

        Raises:
            DeadlineMissed: it is too slow, or stuck.
            LoadTestError: it ended.
        """
        self.wait(worker, lambda: self.jobs_done() >= first, f"{first} jobs are done")
        done, before = self.jobs_done(), self.noted(worker)
        self.wait(worker, lambda: self.jobs_done() >= last, f"{last} jobs are done")
        return self.noted(worker).since(before, max(1, self.jobs_done() - done))

    def noted(self, worker: Process) -> Books:
        """Return what the worker, with its children, and Redis have used until now."""
        return Books(time.monotonic(), family_cpu_seconds(worker.pid), self._redis_cpu_seconds())

    def wait(self, process: Process, condition: Callable[[], object], what: str) -> None:
        """Return when the condition holds, which a process that ended would never bring about.

        Raises:
            DeadlineMissed: it did not come true in time.
            LoadTestError: the process ended.
        """
        wait_until(
            lambda: condition() or not process.running,
            _DEADLINE_SECONDS,
            what,
            every_seconds=_LOOK_SECONDS,
        )
        if not process.running:
            raise LoadTestError(f"{process.name} ended; its log ends: {tail(process.log)}")

    def _redis_cpu_seconds(self) -> float:
        return family_cpu_seconds(self._redis.pid)


@contextmanager
def own_queue() -> Iterator[OwnQueue]:
    """Give an empty queue on a Redis of its own; all that was started on it is stopped."""
    with tempfile.TemporaryDirectory(prefix="pushgate-bench-") as folder:
        queue = OwnQueue(Path(folder))
        try:
            queue.start()
            yield queue
        finally:
            queue.stop()
