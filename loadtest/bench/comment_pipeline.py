"""What the comment pipeline costs beside its libraries alone, and what a second process adds.

On a Redis of its own.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.bench.comment_texts import TEXTS, comment_texts
from loadtest.bench.event_rows import rows_of
from loadtest.bench.own_queue import OwnQueue, own_queue
from loadtest.bench.spent import Spent, median_of
from loadtest.bench.table import Table
from loadtest.errors import LoadTestError
from pushgate import Event
from pushgate.job_queue import ForwardedRow
from stack.process import tail, wait_until

EVENTS = 8_000
SCALING_EVENTS = 16_000
KEYS = 1_000
ROUNDS = 3
# A second process is not measured while it warms up, nor when one has run out of work.
FROM_SHARE, TO_SHARE = 0.1, 0.8
_DEADLINE_SECONDS = 60.0


@dataclass(frozen=True)
class Costs:
    """What was found, processor microseconds for one event and events per second.

    Attributes:
        libraries: markdown-it-py and nh3 alone.
        identity: the formatter with no pipeline for the events.
        comments: the formatter with the comment pipeline.
        one, two: as many processes in full swing, on whatever cores there are.
    """

    libraries: float
    identity: Spent
    comments: Spent
    one: Spent
    two: Spent

    @property
    def ratio(self) -> float:
        """How many times the libraries' and the identity's cost the comment pipeline takes."""
        return self.comments.cpu_microseconds / (self.libraries + self.identity.cpu_microseconds)

    @property
    def added(self) -> float:
        """What the second process adds, the first one being 1."""
        return self.two.per_second / self.one.per_second - 1

    @property
    def added_cpu(self) -> float:
        """The same for processes that have a core each and never wait."""
        return 2 * self.two.per_cpu_second / self.one.per_cpu_second - 1


def comment_pipeline(
    events: int = EVENTS, scaling_events: int = SCALING_EVENTS, rounds: int = ROUNDS
) -> Table:
    """Work off the same comments in each way.

    Args:
        events: for what one costs.
        scaling_events: for what a second process adds.
        rounds: how often each way.
    """
    with own_queue() as queue:
        return table_of(measured(queue, events, scaling_events, rounds), events)


def measured(queue: OwnQueue, events: int, scaling_events: int, rounds: int) -> Costs:
    """Return medians of so many rounds, the ways in turn."""
    comments, plain = comments_of(events, "comment.created"), comments_of(events, "plain.created")
    many = comments_of(scaling_events, "comment.created")
    libraries: list[float] = []
    spent: dict[str, list[Spent]] = {"identity": [], "comments": []}
    swing: dict[int, list[Spent]] = {1: [], 2: []}
    for _ in range(rounds):
        libraries.append(libraries_alone(queue, max(1, events // TEXTS)))
        spent["identity"].append(queue.work_off(plain, queue.formatter))
        spent["comments"].append(queue.work_off(comments, queue.formatter))
        for processes, found in swing.items():
            found.append(several_processes(queue, many, processes))
    return Costs(
        statistics.median(libraries),
        median_of(spent["identity"]),
        median_of(spent["comments"]),
        *(median_of(found) for found in swing.values()),
    )


def comments_of(count: int, kind: str) -> list[ForwardedRow]:
    """Make events with the texts in turn, which moderators are told more of than others."""
    texts = comment_texts()
    return rows_of(
        Event(
            type=kind,
            channels=(f"thread:{number % KEYS}", f"moderators:{number % KEYS}"),
            data={
                "id": number,
                "thread": number % KEYS,
                "author": "Ada",
                "email": "ada@example.com",
                "ip": "192.0.2.1",
                "text": texts[number % len(texts)],
            },
            object=f"threads.comment:{number}",
            version=number + 1,
        )
        for number in range(count)
    )


def libraries_alone(queue: OwnQueue, times: int) -> float:
    """Return what the libraries take for a comment, in a process of its own on the same core."""
    command = (sys.executable, "-m", "loadtest.bench.bare_markdown", str(times))
    process = queue.process("bare-markdown", command)
    wait_until(lambda: not process.running, _DEADLINE_SECONDS, "the libraries are measured")
    queue.end(process)
    try:
        return float(process.log.read_text(encoding="utf-8"))
    except ValueError:
        raise LoadTestError(f"bare_markdown: {tail(process.log, 1)}") from None


def several_processes(queue: OwnQueue, events: Sequence[ForwardedRow], processes: int) -> Spent:
    """Return what so many processes that share the partitions evenly take in full swing."""
    queue.fill([])
    worker = queue.formatter("--processes", str(processes), core=None)
    queue.wait_for_holders(worker, processes)
    queue.add(events)
    spent = queue.measure(worker, int(FROM_SHARE * len(events)), int(TO_SHARE * len(events)))
    queue.end(worker)
    return spent


def table_of(costs: Costs, events: int) -> Table:
    """Return the table of what was found."""
    identity, comments = costs.identity, costs.comments
    rows = [
        ("markdown-it-py and nh3 alone", f"{costs.libraries:.0f}", "", "", "", ""),
        ("identity pipeline", *_cells(identity), "", ""),
        ("comment pipeline", *_cells(comments), f"{costs.ratio:.2f}x", "1.5x"),
        ("comment pipeline, 1 process", *_cells(costs.one), "", ""),
        ("comment pipeline, 2 processes", *_cells(costs.two), f"{costs.added:+.2f}", "+0.80"),
    ]
    return Table(
        f"The comment pipeline on {events} comments of 50 to 1,000 characters",
        ("", "CPU us", "events/s", "cores", "", "target"),
        rows,
        [
            "CPU us: of the formatter's process for one event; 1.00x: what the libraries alone and "
            "the identity pipeline take together for the same comments.",
            "Two frames for each event: the public's, and the moderators' with the private fields.",
            "1 and 2 processes: on the cores there are, which Redis and all else use too; cores: "
            f"how many they had. By their CPU time alone the second adds {costs.added_cpu:+.2f}.",
        ],
    )


def _cells(spent: Spent) -> tuple[str, ...]:
    return (
        f"{spent.cpu_microseconds:.0f}",
        f"{spent.per_second:.0f}",
        f"{spent.cpu_seconds / spent.seconds:.2f}",
    )
