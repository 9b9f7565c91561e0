"""How fast the relay empties an outbox, beside loops that append one row with one XADD.

On a SQLite, a PostgreSQL and a Redis of its own: `manage.py measure_relay` does the work, each way
in turn in one process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtest.bench.table import Table
from loadtest.errors import LoadTestError
from loadtest.target import Target
from stack.platform import REPOSITORY, Platform
from stack.postgres_server import PostgresServer
from stack.process import free_port
from stack.redis_server import RedisServer

ROWS = 10_000
ROUNDS = 3
_WAYS = {
    "plain": "one row, one XADD",
    "streamed": "one query, then one XADD a row",
    "relay": "relay",
}


def outbox_relay(target: Target) -> Table:
    """Move the same rows in each way and return rates and ratios. The target is left alone."""
    with tempfile.TemporaryDirectory(prefix="pushgate-bench-") as folder:
        directory = Path(folder)
        redis = RedisServer(Platform.find(), directory / "redis", free_port())
        postgres = PostgresServer()
        try:
            redis.start()
            postgres.start()
            rows = []
            for url in (f"sqlite:///{directory / 'bench.sqlite3'}", postgres.url()):
                environment = {
                    **os.environ,
                    "STATE_DIR": str(directory),
                    "DATABASE_URL": url,
                    "PUSHGATE_REDIS_URL": redis.url,
                }
                _manage(environment, "migrate", "--verbosity=0")
                options = (f"--rows={ROWS}", f"--rounds={ROUNDS}")
                rows += _rows(json.loads(_manage(environment, "measure_relay", *options)))
        finally:
            postgres.stop()
            redis.stop()
    return Table(
        f"The relay on an outbox of {ROWS} rows, {ROUNDS} times; ratios: how much less it takes",
        ("", "rows/s", "time", "its CPU", "its and Redis' CPU"),
        rows,
        ["The second loop remembers nothing: where it dies, nobody can go on."],
    )


def _manage(environment: Mapping[str, str], *command: str) -> str:
    done = subprocess.run(
        (sys.executable, "example_site/manage.py", *command),
        cwd=REPOSITORY,
        env=dict(environment),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise LoadTestError(f"manage.py {command[0]} failed: {last}")
    return done.stdout


def _rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a line for each way; the ratios say how often the relay does the same meanwhile."""
    relay = _costs(found["spent"]["relay"])
    lines = []
    for way, name in _WAYS.items():
        costs = _costs(found["spent"][way])
        ratios = [f"{cost / least:.1f}x" for cost, least in zip(costs, relay, strict=True)]
        lines.append((f"{found['database']}: {name}", f"{found['rows'] / costs[0]:.0f}", *ratios))
    return lines


def _costs(spent: Mapping[str, float]) -> tuple[float, float, float]:
    own = spent["own_cpu_seconds"]
    return spent["seconds"], own, own + spent["redis_cpu_seconds"]
