"""A job that does nothing through other job queues, on the same Redis in the same run.

All jobs are put on the queue before the worker begins. Of the others is measured what lies between
the first jobs and the last one, so that their start does not count; of ours, all jobs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loadtest.bench.event_rows import plain_events
from loadtest.bench.own_queue import OwnQueue, own_queue
from loadtest.bench.peers.marks import FIRST, GO_ON, LAST
from loadtest.bench.spent import Spent, median_of
from loadtest.bench.table import Table
from loadtest.errors import LoadTestError
from stack.platform import REPOSITORY

OWN_JOBS = 60_000
OWN_KEYS = 1_000


@dataclass(frozen=True, eq=False)
class Peer:
    """Another queue's worker.

    Attributes:
        name: as the table says it.
        jobs_module: of `loadtest.bench.peers`.
        command: starts the worker, after `python -m`; `{url}` is where Redis is.
        first: jobs before measuring begins.
        jobs: how many are measured: enough for several seconds.
        target: how many times its jobs ours should move.
        environment: what its worker is told beside.
    """

    name: str
    jobs_module: str
    command: Sequence[str]
    first: int
    jobs: int
    target: int
    environment: Mapping[str, str] = field(default_factory=dict)


_CELERY = (
    *("celery", "--quiet", "--app", "loadtest.bench.peers.celery_jobs", "worker"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
)
_DRAMATIQ = ("dramatiq", "loadtest.bench.peers.dramatiq_jobs", "--processes", "1", "--threads")
_RQ = ("rq.cli", "worker", "--url", "{url}", "--quiet", "--worker-class")
# By default it fetches two messages for each thread at a time.
_PREFETCH = {"dramatiq_queue_prefetch": "1000"}

PEERS = (
    Peer("Celery, prefork", "celery_jobs", (*_CELERY, "--concurrency", "1"), 500, 4_000, 10),
    Peer("Celery, solo", "celery_jobs", (*_CELERY, "--pool", "solo"), 500, 5_000, 10),
    Peer("dramatiq, 1 thread", "dramatiq_jobs", (*_DRAMATIQ, "1"), 1_000, 20_000, 4, _PREFETCH),
    Peer("dramatiq, 8 threads", "dramatiq_jobs", (*_DRAMATIQ, "8"), 1_000, 30_000, 4, _PREFETCH),
    Peer("RQ, Worker", "rq_jobs", (*_RQ, "rq.Worker"), 50, 400, 20),
    Peer("RQ, SimpleWorker", "rq_jobs", (*_RQ, "rq.SimpleWorker"), 200, 2_000, 20),
)

PUBLISHED, DROPPED = "ours, published", "ours, dropped"


def other_queues(own_jobs: int = OWN_JOBS, peers: Sequence[Peer] = PEERS) -> Table:
    """Work off jobs in each queue and return rates and ratios."""
    own_rows = {
        PUBLISHED: plain_events(own_jobs, OWN_KEYS),
        DROPPED: plain_events(own_jobs, OWN_KEYS, kind="dropped.created"),
    }
    own: dict[str, list[Spent]] = {name: [] for name in own_rows}
    found: dict[Peer, Spent] = {}
    with own_queue() as queue:
        # Between the others, so that a slower moment of the machine is nobody's alone.
        for place, peer in enumerate(peers):
            if place % 2 == 0:
                for name, rows in own_rows.items():
                    own[name].append(queue.work_off(rows, queue.formatter))
            found[peer] = theirs(queue, peer)
    return table_of({name: median_of(rounds) for name, rounds in own.items()}, found)


def theirs(queue: OwnQueue, peer: Peer) -> Spent:
    """Return what a peer's worker took for its jobs."""
    queue.client.flushall()
    put = subprocess.run(
        (
            sys.executable,
            "-m",
            "loadtest.bench.peers",
            peer.jobs_module,
            str(peer.first),
            str(peer.jobs),
        ),
        cwd=REPOSITORY,
        env={**os.environ, "PUSHGATE_REDIS_URL": queue.url},
        capture_output=True,
        text=True,
    )
    if put.returncode:
        raise LoadTestError(f"{peer.name}: {put.stderr.strip().splitlines()[-1]}")
    command = (sys.executable, "-m", *(word.format(url=queue.url) for word in peer.command))
    worker = queue.process(peer.jobs_module, command, environment=peer.environment)
    queue.wait(worker, lambda: queue.client.exists(FIRST), f"{peer.first} jobs are done")
    before = queue.noted(worker)
    queue.client.rpush(GO_ON, 1)
    queue.wait(worker, lambda: queue.client.exists(LAST), f"{peer.jobs} more jobs are done")
    spent = queue.noted(worker).since(before, peer.jobs)
    # Whatever it would do when asked to stop does not matter: Redis is emptied for the next.
    worker.kill()
    queue.end(worker)
    return spent


def table_of(own: Mapping[str, Spent], found: Mapping[Peer, Spent]) -> Table:
    """Return the table of what ours and the others took."""
    rows = [_row(name, spent, own, None) for name, spent in own.items()]
    rows += [_row(peer.name, spent, own, peer.target) for peer, spent in found.items()]
    return Table(
        "A job that does nothing, through other queues on the same Redis",
        (
            *("", "jobs/s", "jobs/CPU s", "with Redis'"),
            *("published: x", "with Redis'", "dropped: x", "with Redis'", "target"),
        ),
        rows,
        [
            "jobs/CPU s: of the worker's processes; with Redis': of theirs and the Redis server's.",
            "x: how many times the jobs ours moves, published (into log and history) or dropped "
            "(nothing left behind, like the others' jobs); compare with the better of each two.",
            "Celery: early acknowledgement, no results, prefetch 500; dramatiq: prefetch 1000; "
            "RQ: its defaults. Ours counts each attempt, keeps order by key and books each job.",
        ],
    )


def _row(name: str, spent: Spent, own: Mapping[str, Spent], target: int | None) -> tuple[str, ...]:
    ratios = [
        f"{value:.1f}"
        for mine in (own[PUBLISHED], own[DROPPED])
        for value in (
            mine.per_cpu_second / spent.per_cpu_second,
            mine.per_cpu_second_with_redis / spent.per_cpu_second_with_redis,
        )
    ]
    return (
        name,
        f"{spent.per_second:.0f}",
        f"{spent.per_cpu_second:.0f}",
        f"{spent.per_cpu_second_with_redis:.0f}",
        *(ratios if target else [""] * 4),
        f"{target}" if target else "",
    )
