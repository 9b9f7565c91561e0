"""What stages that need much CPU do to everybody else's events, at a moderate rate.

Each event is put on the queue by a clock, whether the last one is out or not; a thread of its own
reads the log.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadtest.bench.own_queue import OwnQueue, own_queue
from loadtest.bench.table import Table
from loadtest.errors import LoadTestError
from loadtest.percentiles import Percentiles
from pushgate import Event, Keys, connect
from stack.process import wait_until

EVENTS_PER_SECOND = 500
SECONDS = 6.0
ROUNDS = 3
KEYS = 200
HEAVY_EVERY = 100
WARM_UP_EVENTS = 200

WAYS: Mapping[str, str] = {
    "none": "plain.created",
    "1 % of the events, 20 ms each": "heavy.created",
    "the same, not marked": "freezing.created",
}
_READ_SECONDS = 1.0
_DEADLINE_SECONDS = 30.0


@dataclass(frozen=True)
class Frames:
    """What came of one load.

    Attributes:
        plain: milliseconds from before the put to the log, of the events that need nothing.
        heavy: of those in whose place the heavy ones stand.
    """

    plain: Percentiles
    heavy: Percentiles


def heavy_stage(seconds: float = SECONDS, rounds: int = ROUNDS) -> Table:
    """Put the same load with and without heavy events."""
    found: dict[str, list[Frames]] = {way: [] for way in WAYS}
    with own_queue() as queue:
        queue.fill([])
        worker = queue.formatter(core=None)
        queue.wait_for_holders(worker)
        for kind in WAYS.values():
            loaded(queue, kind, WARM_UP_EVENTS)
        for _ in range(rounds):
            for way, kind in WAYS.items():
                found[way].append(loaded(queue, kind, int(seconds * EVENTS_PER_SECOND)))
    return table_of(found, seconds)


def loaded(queue: OwnQueue, kind: str, events: int) -> Frames:
    """Put so many events, each hundredth of this kind on a key of its own, and time them all."""
    began = [0.0] * events
    with LogReader(queue.url, queue.keys, events) as reader:
        start = time.time()
        for number in range(events):
            is_heavy = number % HEAVY_EVERY == HEAVY_EVERY - 1
            key = f"heavy:{number % 7}" if is_heavy else f"thread:{number % KEYS}"
            event = Event(kind if is_heavy else "plain.created", (key,), {"id": number})
            time.sleep(max(0.0, start + number / EVENTS_PER_SECOND - time.time()))
            began[number] = time.time()
            queue.queue.put(event)
        came = reader.wait()
    heavy = range(HEAVY_EVERY - 1, events, HEAVY_EVERY)
    taken = [1000 * (came[number] - began[number]) for number in range(events)]
    return Frames(
        Percentiles.of(taken[number] for number in range(events) if number not in heavy),
        Percentiles.of(taken[number] for number in heavy),
    )


class LogReader:
    """Notes in a thread of its own when each frame of a load comes into the log.

    Args:
        events: how many are to come; their data's `id` counts them from 0.
    """

    def __init__(self, url: str, keys: Keys, events: int) -> None:
        self._client = connect(url)
        self._log = keys.log
        self._events = events
        self._came: dict[int, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="log reader", daemon=True)
        last: Any = self._client.xrevrange(self._log, count=1)
        self._position: Any = last[0][0] if last else "0-0"

    def wait(self) -> Mapping[int, float]:
        """Return the Unix time at which each frame came, when all have.

        Raises:
            DeadlineMissed: some did not.
        """
        wait_until(
            lambda: len(self._came) >= self._events or not self._thread.is_alive(),
            _DEADLINE_SECONDS,
            f"{self._events} frames are in the log",
        )
        if len(self._came) < self._events:
            raise LoadTestError(f"{len(self._came)} of {self._events} frames came into the log")
        return self._came

    def __enter__(self) -> LogReader:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._client.close()

    def _read(self) -> None:
        while not self._stopped.is_set() and len(self._came) < self._events:
            found: Any = self._client.xread(
                {self._log: self._position}, block=int(_READ_SECONDS * 1000)
            )
            now = time.time()
            for self._position, fields in found[0][1] if found else ():
                self._came[json.loads(fields[b"frame"].partition(b"data: ")[2])["id"]] = now


def table_of(found: Mapping[str, list[Frames]], seconds: float) -> Table:
    """Return the table of the rounds' medians."""
    alone = _median(found["none"], "p99")
    rows = []
    for way, rounds in found.items():
        p99 = _median(rounds, "p99")
        heavy = statistics.median(frames.heavy.p99 for frames in rounds)
        rows.append(
            (
                way,
                *(f"{_median(rounds, name):.1f}" for name in ("p50", "p95")),
                f"{p99:.1f}",
                "" if way == "none" else f"{p99 / alone:.1f}x",
                "3.0x" if WAYS[way] == "heavy.created" else "",
                "" if way == "none" else f"{heavy:.1f}",
            )
        )
    return Table(
        f"Heavy stages beside other keys' events, milliseconds from put to log, "
        f"{EVENTS_PER_SECOND} events/s over {KEYS} keys, median of {len(found['none'])} x "
        f"{seconds:g} s",
        ("heavy events", "median", "p95", "p99", "p99 by none's", "target", "heavy ones' p99"),
        rows,
        [
            "A stage marked `cpu_heavy` runs in another process; one that is not marked, in the "
            "event loop. Redis, the bench and those processes share the machine's cores.",
        ],
    )


def _median(rounds: list[Frames], name: str) -> float:
    return float(statistics.median(getattr(frames.plain, name) for frames in rounds))
