"""Events that must each be asked for at a slow API: one process waits for many answers at once."""

from __future__ import annotations

import sys

from loadtest.bench.event_rows import plain_events
from loadtest.bench.own_queue import PARTITIONS, OwnQueue, own_queue
from loadtest.bench.spent import Spent
from loadtest.bench.table import Table
from stack.process import free_port, port_is_free, wait_until

EVENTS = 1_000
ANSWER_SECONDS = 0.2
_START_SECONDS = 10.0


def enrichment(events: int = EVENTS) -> Table:
    """Enrich events of as many keys by an API that takes its time."""
    with own_queue() as queue:
        spent = enriched(queue, events)
    one_by_one = events * ANSWER_SECONDS
    return Table(
        f"Enrichment: {events} calls of {1000 * ANSWER_SECONDS:.0f} ms, one process",
        ("", "seconds", "of one by one", "target"),
        [
            ("one after another, reckoned", f"{one_by_one:.0f}", "100 %", ""),
            (
                "formatter",
                f"{spent.seconds:.2f}",
                f"{100 * spent.seconds / one_by_one:.1f} %",
                "5 %",
            ),
        ],
        [
            f"From the first claim to the last frame in the log, over {PARTITIONS} partitions; "
            f"each event asks for an address of its own. CPU: {spent.cpu_microseconds:.0f} us each."
        ],
    )


def enriched(queue: OwnQueue, events: int) -> Spent:
    """Return what it took one formatter to enrich so many events."""
    port = free_port()
    command = (sys.executable, "-m", "loadtest.bench.slow_api", str(port), str(ANSWER_SECONDS))
    api = queue.process("slow-api", command, core=None)
    wait_until(lambda: not port_is_free(port), _START_SECONDS, "the slow API listens")
    environment = {"BENCH_API_URL": f"http://127.0.0.1:{port}"}
    rows = plain_events(events, events, kind="enriched.created")
    spent = queue.work_off(rows, lambda: queue.formatter(environment=environment))
    queue.end(api)
    return spent
