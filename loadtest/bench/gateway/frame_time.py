"""How long a frame takes from its log entry to thousands of subscribers of one channel."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from loadtest.bench.gateway.audience import Audience
from loadtest.bench.gateway.own_gateway import own_gateway
from loadtest.bench.machine import kept_busy_by_others
from loadtest.bench.table import Table, met
from loadtest.errors import LoadTestError
from loadtest.percentiles import Percentiles

SUBSCRIBERS, WORKERS = 10_000, 2
FRAMES, FRAMES_A_SECOND = 40, 2.0
MOST_P99_MS = 400.0

_CHANNEL = "thread:1"


@dataclass(frozen=True)
class FrameTimes:
    """What was seen.

    Attributes:
        subscribers: how many.
        arrived: milliseconds from the log entry to the kernel's having the subscriber's bytes.
        read: milliseconds until the subscriber had read them.
        gateway_share: of one core, of the gateway.
        clients_share: of one core, of all subscribers.
        wrong: frames that were lost, came twice, or in another order.
    """

    subscribers: int
    arrived: Percentiles
    read: Percentiles
    gateway_share: float
    clients_share: float
    wrong: int


def frame_time(subscribers: int = SUBSCRIBERS, frames: int = FRAMES) -> Table:
    """Measure it."""
    others = kept_busy_by_others()
    return table_of(time_frames(subscribers, frames, 1 / FRAMES_A_SECOND), frames, others)


def time_frames(subscribers: int, frames: int, every_seconds: float) -> FrameTimes:
    """Send frames at a steady rate, whatever becomes of them, and return when each came."""
    target = f"/sub/{_CHANNEL}"
    with (
        own_gateway(WORKERS) as own,
        Audience(own.port, [target] * subscribers, timed=True) as audience,
    ):
        audience.wait_until_open()
        began_at, gateway, clients = time.monotonic(), own.cpu_seconds(), audience.cpu_seconds()
        for place in range(frames):
            time.sleep(max(0.0, began_at + place * every_seconds - time.monotonic()))
            own.send([(_CHANNEL, place + 1)])
        audience.wait_for_frames(Counter({target: frames}))
        seconds = max(time.monotonic() - began_at, frames * every_seconds)
        gateway, clients = own.cpu_seconds() - gateway, audience.cpu_seconds() - clients
        found = audience.findings()
    if len(found.read_ms) != subscribers * frames:
        raise LoadTestError(f"frame time: {len(found.read_ms)} times of {subscribers * frames}")
    return FrameTimes(
        subscribers,
        Percentiles.of(found.arrival_ms),
        Percentiles.of(found.read_ms),
        gateway / seconds,
        clients / seconds,
        found.wrong,
    )


def table_of(times: FrameTimes, frames: int, others: str) -> Table:
    """Return the table of what was seen; `others` is a note on the machine."""
    rows = {
        "at the subscriber's socket": times.arrived,
        "read by the subscriber": times.read,
    }
    return Table(
        f"Frame time: {times.subscribers} subscribers of one channel, {WORKERS} workers, {frames} "
        f"frames, {FRAMES_A_SECOND:g} a second; ms from the log entry",
        ("until it is", "p50", "p95", "p99", "max", "target for p99", ""),
        [
            (
                name,
                *(f"{value:.0f}" for value in (one.p50, one.p95, one.p99, one.max)),
                f"<= {MOST_P99_MS:.0f}",
                met(one.p99 <= MOST_P99_MS),
            )
            for name, one in rows.items()
        ],
        [
            f"The gateway took {times.gateway_share:.0%} of a core, the subscribers "
            f"{times.clients_share:.0%}, all on this machine; what lies between the two rows is "
            f"the subscribers' own. {times.wrong} frames were lost or came twice.",
            others,
        ],
    )
