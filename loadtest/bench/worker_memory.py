"""The memory of a worker with few and with many jobs on the queue: it holds a bounded number."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from loadtest.bench.event_rows import plain_events
from loadtest.bench.own_queue import OwnQueue, own_queue
from loadtest.bench.spent import resident_bytes
from loadtest.bench.table import Table
from stack.process import Process, wait_until

QUEUED = (0, 1_000, 100_000)
KEYS = 1_000
_SETTLED_SECONDS = 1.0
_DEADLINE_SECONDS = 60.0


def worker_memory(queued: Sequence[int] = QUEUED) -> Table:
    """Measure workers with so many jobs before them."""
    with own_queue() as queue:
        found = [(jobs, while_they_wait(queue, jobs), worked_off(queue, jobs)) for jobs in queued]
    few, many = found[-2][1:], found[-1][1:]
    grown = [more - less for less, more in zip(few, many, strict=True)]
    return Table(
        "Memory of one worker, MB resident, events of 330 bytes over 1,000 keys",
        ("jobs on the queue", "a stage waits on all", "most while worked off"),
        [
            *((f"{jobs}", *(f"{size / 1e6:.1f}" for size in sizes)) for jobs, *sizes in found),
            (
                f"{queued[-1]} by {queued[-2]}",
                *(f"{more / less:.2f}x" for less, more in zip(few, many, strict=True)),
            ),
        ],
        [
            f"{queued[-1]} jobs take {grown[0] / 1e6:.1f} MB more than {queued[-2]} do, "
            f"{grown[0] / (queued[-1] - queued[-2]):.0f} bytes for a job more; a worker claims no "
            "more than it may have in flight, and works on no more than its runners."
        ],
    )


def while_they_wait(queue: OwnQueue, jobs: int) -> int:
    """Return a worker's memory when it has claimed what it claims of jobs that it cannot end."""
    worker = _started(queue)
    queue.add(plain_events(jobs, KEYS, kind="sleepy.created"))
    claimed_until, settled_at = object(), 0.0

    def is_settled() -> bool:
        nonlocal claimed_until, settled_at
        found = queue.client.hgetall(queue.keys.claimed)
        if found != claimed_until:
            claimed_until, settled_at = found, time.monotonic() + _SETTLED_SECONDS
        return time.monotonic() >= settled_at

    wait_until(is_settled, _DEADLINE_SECONDS, "no more jobs are claimed")
    found = resident_bytes(worker.pid)
    # It would wait for its jobs first if it was asked to stop.
    worker.kill()
    queue.end(worker)
    return found


def worked_off(queue: OwnQueue, jobs: int) -> int:
    """Return the most memory a worker had until it had worked off so many jobs."""
    worker = _started(queue)
    queue.add(plain_events(jobs, KEYS))
    wait_until(lambda: queue.jobs_done() >= jobs, _DEADLINE_SECONDS, f"{jobs} jobs are done")
    found = most_resident_bytes(worker.pid)
    queue.end(worker)
    return found


def most_resident_bytes(pid: int) -> int:
    """Return the most memory that a process has had in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise ProcessLookupError(f"process {pid} has ended")


def _started(queue: OwnQueue) -> Process:
    queue.fill([])
    worker = queue.formatter()
    queue.wait_for_holders(worker)
    return worker
