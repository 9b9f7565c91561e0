"""Subscribers to whom nothing is sent: how fast they come, what they hold, what they cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.bench.gateway.audience import Audience
from loadtest.bench.gateway.other_fan_outs import PushStreamAlone
from loadtest.bench.gateway.own_gateway import own_gateway
from loadtest.bench.machine import kept_busy_by_others
from loadtest.bench.table import Table, met

SUBSCRIBERS, WORKERS = 30_000, 2
LEAST_PER_SECOND, MOST_KILOBYTES, MOST_IDLE_SHARE = 3_000, 12.0, 0.03

# The interval of the gateway's pings.
IDLE_SECONDS = 15.0
_CHANNELS = 1_000
_SETTLE_SECONDS = 1.0


@dataclass(frozen=True)
class Idle:
    """What was seen.

    Attributes:
        subscribers: how many.
        connect_seconds: from the first one's connecting to the last one's prologue.
        connect_cpu_seconds: of the gateway meanwhile.
        clients_cpu_seconds: of the subscribers meanwhile.
        bytes_before: the gateway's memory without subscribers.
        bytes_after: with all of them.
        idle_seconds: how long they were left alone.
        idle_cpu_seconds: of the gateway meanwhile, its pings included.
        asleep_cpu_seconds: of the gateway for as long again, with clients that no ping wakes.
        module_cpu_seconds: of the push-stream module alone for as long, with as many.
        drops: streams that ended, which none should have.
        of_workers: how many each worker had.
    """

    subscribers: int
    connect_seconds: float
    connect_cpu_seconds: float
    clients_cpu_seconds: float
    bytes_before: int
    bytes_after: int
    idle_seconds: float
    idle_cpu_seconds: float
    asleep_cpu_seconds: float
    module_cpu_seconds: float
    drops: int
    of_workers: Sequence[int]

    @property
    def per_second(self) -> float:
        """New subscribers a second."""
        return self.subscribers / self.connect_seconds

    @property
    def kilobytes(self) -> float:
        """Memory for one subscriber, in kB of 1024 bytes."""
        return (self.bytes_after - self.bytes_before) / self.subscribers / 1024

    @property
    def idle_share(self) -> float:
        """Of one core, while nothing is sent."""
        return self.idle_cpu_seconds / self.idle_seconds


def idle_subscribers(
    subscribers: int = SUBSCRIBERS, seconds: float = IDLE_SECONDS, workers: int = WORKERS
) -> Table:
    """Measure them."""
    others = kept_busy_by_others()
    return table_of(watch(subscribers, seconds, workers), others)


def module_alone(subscribers: int, seconds: float, workers: int) -> float:
    """Return the processor time of the module alone with as many idle subscribers."""
    module = PushStreamAlone(workers)
    try:
        module.start()
        targets = [f"/sub/thread:{place % _CHANNELS}" for place in range(subscribers)]
        with Audience(module.port, targets, module.begins_with) as audience:
            audience.wait_until_open(300)
            time.sleep(_SETTLE_SECONDS)
            cpu = module.cpu_seconds()
            time.sleep(seconds)
            return module.cpu_seconds() - cpu
    finally:
        module.stop()


def watch(subscribers: int, seconds: float, workers: int) -> Idle:
    """Connect them, leave them alone, and return what was seen."""
    module_cpu_seconds = module_alone(subscribers, seconds, workers)
    with own_gateway(workers) as own:
        # One comes and goes first: what is compiled and opened for it belongs to nobody.
        with Audience(own.port, ["/sub/thread:0"] * workers, processes=1) as first:
            first.wait_until_open()
        bytes_before = own.resident_bytes()
        descriptors = own.descriptors()
        targets = [f"/sub/thread:{place % _CHANNELS}" for place in range(subscribers)]
        with Audience(own.port, targets, begins=False) as audience:
            began_at, cpu, clients = time.monotonic(), own.cpu_seconds(), audience.cpu_seconds()
            audience.begin()
            audience.wait_until_open(300)
            connect_seconds = time.monotonic() - began_at
            connect_cpu_seconds = own.cpu_seconds() - cpu
            clients_cpu_seconds = audience.cpu_seconds() - clients
            # What a burst left to be done is not idleness.
            time.sleep(_SETTLE_SECONDS)
            cpu = own.cpu_seconds()
            time.sleep(seconds)
            idle_cpu_seconds = own.cpu_seconds() - cpu
            audience.sleep()
            cpu = own.cpu_seconds()
            time.sleep(seconds)
            asleep_cpu_seconds = own.cpu_seconds() - cpu
            return Idle(
                subscribers,
                connect_seconds,
                connect_cpu_seconds,
                clients_cpu_seconds,
                bytes_before,
                own.resident_bytes(),
                seconds,
                idle_cpu_seconds,
                asleep_cpu_seconds,
                module_cpu_seconds,
                audience.findings().drops,
                [
                    after - before
                    for before, after in zip(descriptors, own.descriptors(), strict=True)
                ],
            )


def table_of(idle: Idle, others: str) -> Table:
    """Return the table of what was seen; `others` is a note on the machine."""
    return Table(
        f"Idle subscribers: {idle.subscribers} over {len(idle.of_workers)} workers, "
        f"{_CHANNELS} channels",
        ("what", "seen", "target", ""),
        [
            (
                "new subscribers a second",
                f"{idle.per_second:.0f}",
                f">= {LEAST_PER_SECOND}",
                met(idle.per_second >= LEAST_PER_SECOND),
            ),
            (
                "processor time for each, us",
                f"{1e6 * idle.connect_cpu_seconds / idle.subscribers:.0f}",
                "",
                "",
            ),
            (
                "memory for each, KB resident",
                f"{idle.kilobytes:.1f}",
                f"<= {MOST_KILOBYTES:g}",
                met(idle.kilobytes <= MOST_KILOBYTES),
            ),
            (
                "of one core while idle",
                f"{idle.idle_share:.1%}",
                f"< {MOST_IDLE_SHARE:.0%}",
                met(idle.idle_share < MOST_IDLE_SHARE),
            ),
            (
                "the same, clients not woken",
                f"{idle.asleep_cpu_seconds / idle.idle_seconds:.1%}",
                "",
                "",
            ),
            (
                "the push-stream module alone",
                f"{idle.module_cpu_seconds / idle.idle_seconds:.1%}",
                "",
                "",
            ),
            ("streams that ended", f"{idle.drops}", "0", met(idle.drops == 0)),
        ],
        [
            f"Connected in {idle.connect_seconds:.1f} s with {idle.connect_cpu_seconds:.1f} s of "
            f"the gateway's processor time and {idle.clients_cpu_seconds:.1f} s of the clients', "
            f"on the same cores; left alone for {idle.idle_seconds:.0f} s, one ping for each, "
            "and for as long again. On one machine the gateway's ping also pays for waking a "
            "client; the second time none woke, as if they were elsewhere.",
            f"The gateway's memory grew from {idle.bytes_before / 2**20:.1f} to "
            f"{idle.bytes_after / 2**20:.1f} MB: its processes' proportional set size, shared "
            "memory once, the kernel's own for sockets not counted. Workers had "
            f"{' and '.join(map(str, idle.of_workers))} connections.",
            others,
        ],
    )
