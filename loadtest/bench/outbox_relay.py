"""How fast the relay empties an outbox, beside loops that append one row with one XADD.

On a SQLite, a PostgreSQL and a Redis of its own: `manage.py measure_relay` does the work, each way
in turn in one process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from loadtest.bench.own_site import manage, own_sites
from loadtest.bench.table import Table

ROWS = 10_000
ROUNDS = 3
_WAYS = {
    "plain": "one row, one XADD",
    "streamed": "one query, then one XADD a row",
    "relay": "relay",
}


def outbox_relay() -> Table:
    """Move the same rows in each way and return rates and ratios."""
    options = (f"--rows={ROWS}", f"--rounds={ROUNDS}")
    with own_sites() as sites:
        found = [json.loads(manage(site, "measure_relay", *options)) for site in sites]
    return Table(
        f"The relay on an outbox of {ROWS} rows, {ROUNDS} times; ratios: how much less it takes",
        ("", "rows/s", "time", "its CPU", "its and Redis' CPU"),
        [line for one in found for line in _rows(one)],
        ["The second loop remembers nothing: where it dies, nobody can go on."],
    )


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
