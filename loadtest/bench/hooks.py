"""What a hook adds to a save, beside one bare XADD in the hook's place.

On a SQLite, a PostgreSQL and a Redis of its own: `manage.py measure_hooks` does the work, each way
in turn in one process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from loadtest.bench.own_site import manage, own_sites
from loadtest.bench.table import Table


def hooks() -> Table:
    """Save a comment in each way and return what is added."""
    with own_sites() as sites:
        found = [json.loads(manage(site, "measure_hooks")) for site in sites]
    return Table(
        f"What is added to one of {found[0]['saves']} saves within a transaction, microseconds",
        ("", "save alone", "XADD", "INSERT", "hook with INSERT", "hook's own", "own / XADD"),
        [_row(one) for one in found],
        [
            "INSERT: of the ready event, by Django's cursor. The hook's own Python is the rest.",
            *(_lone(one) for one in found),
        ],
    )


def _row(found: Mapping[str, Any]) -> tuple[str, ...]:
    spent = found["microseconds"]
    save = spent["save"]
    append, insert, hook = (
        spent[way] - save for way in ("save and XADD", "save and INSERT", "hooked save")
    )
    own = hook - insert
    return (
        found["database"],
        *(f"{microseconds:.0f}" for microseconds in (save, append, insert, hook, own)),
        f"{own / append:.2f}",
    )


def _lone(found: Mapping[str, Any]) -> str:
    spent = found["microseconds"]
    return (
        f"{found['database']}, outside of a transaction, which the hook then makes: a save "
        f"{spent['lone save']:.0f}, with its hook {spent['hooked lone save']:.0f}."
    )
