"""How fast one formatter process moves events that it need not change, beside bare loops.

On a Redis of its own; worker and Redis have a core each where there are two.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from loadtest.bench.event_rows import plain_events
from loadtest.bench.own_queue import OwnQueue, own_queue
from loadtest.bench.spent import Spent, median_of
from loadtest.bench.table import Table
from pushgate.job_queue import ForwardedRow
from stack.process import Process

# Jobs and keys. One key's history is soon full: from then on older frames are cut off.
LOADS = ((100_000, 1_000), (20_000, 1))
ROUNDS = 3

Start = Callable[[OwnQueue], Process]


def _bare(way: str) -> Start:
    return lambda queue: queue.process(
        f"bare-loop-{way}", (sys.executable, "-m", "loadtest.bench.bare_loop", way)
    )


WAYS: Mapping[str, Start] = {
    "bare loop of commands": _bare("commands"),
    "bare loop of claim and finish": _bare("scripts"),
    "formatter, identity": lambda queue: queue.formatter(),
}


def queue_worker(loads: Sequence[tuple[int, int]] = LOADS, rounds: int = ROUNDS) -> Table:
    """Work off the same jobs in each way and return rates and ratios."""
    rows: list[tuple[str, ...]] = []
    with own_queue() as queue:
        for jobs, keys in loads:
            spent = worked_off(queue, plain_events(jobs, keys), rounds)
            rows += [row_of(f"{jobs} jobs, {keys} keys: ", way, spent) for way in WAYS]
    return Table(
        f"Identity pipeline, one process on one core, events of 330 bytes, median of {rounds}",
        ("", "jobs/s", "jobs/CPU s", "CPU us", "Redis us", "of commands", "of claim+finish"),
        rows,
        [
            "jobs/CPU s, CPU us: of the process that works; Redis us: of the Redis server.",
            "The last columns, target 60 %: its jobs/s by that loop's. The loops decode nothing, "
            "know no lane, no lease to renew and no failure; and they wait for Redis where the "
            "formatter works on.",
        ],
    )


def worked_off(queue: OwnQueue, events: Sequence[ForwardedRow], rounds: int) -> Mapping[str, Spent]:
    """Return what the same events took in each way, the ways in turn."""
    spent: dict[str, list[Spent]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, start in WAYS.items():
            spent[way].append(queue.work_off(events, partial(start, queue)))
    return {way: median_of(found) for way, found in spent.items()}


def row_of(keys: str, way: str, spent: Mapping[str, Spent]) -> tuple[str, ...]:
    """Return the line of a way; what it is compared with is among the rest."""
    own = spent[way]
    return (
        keys + way,
        f"{own.per_second:.0f}",
        f"{own.per_cpu_second:.0f}",
        f"{own.cpu_microseconds:.1f}",
        f"{own.redis_cpu_microseconds:.1f}",
        *(f"{own.per_second / spent[bare].per_second:.0%}" for bare in list(WAYS)[:2]),
    )
