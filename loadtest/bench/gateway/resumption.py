"""Thousands of subscribers dropped at once while frames go on: when they are back, and complete."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loadtest.bench.gateway.audience import Audience
from loadtest.bench.gateway.own_gateway import OwnGateway, own_gateway
from loadtest.bench.machine import kept_busy_by_others
from loadtest.bench.table import Table, met

SUBSCRIBERS, WORKERS = 10_000, 2
MOST_LATE_SECONDS = 1.0
MOST_REDIS_SHARE = 0.5

_FRAMES_EVERY_SECONDS = 0.25


@dataclass(frozen=True)
class Spread:
    """The time within which those who were dropped are told to come back, in milliseconds."""

    least_ms: int
    most_ms: int

    @property
    def most_seconds(self) -> float:
        """The longest."""
        return self.most_ms / 1000


SPREAD = Spread(1_000, 5_000)


@dataclass(frozen=True)
class Case:
    """How they are dropped, and of how many channels they are."""

    name: str
    channels: int
    drop: Callable[[OwnGateway], None]


@dataclass(frozen=True)
class Resumption:
    """What was seen.

    Attributes:
        subscribers: how many.
        back_seconds: from the drop to the last one's return.
        latest_seconds: how long after the moment it was told to come back the latest one was back.
        frames_missed: for each subscriber, published while it was away and sent when it was back.
        wrong: frames that were lost, came twice, or in another order.
        signals: resets and refusals.
        gateway_cpu_seconds: of the gateway from the drop to the last return, less a killed one's.
        redis_cpu_seconds: of Redis meanwhile.
        grown_bytes: the gateway's memory afterwards, over that before.
    """

    subscribers: int
    back_seconds: float
    latest_seconds: float
    frames_missed: float
    wrong: int
    signals: int
    gateway_cpu_seconds: float
    redis_cpu_seconds: float
    grown_bytes: int

    @property
    def redis_share(self) -> float:
        """Of one core."""
        return self.redis_cpu_seconds / self.back_seconds

    @property
    def is_exact(self) -> bool:
        """Whether everybody got everything once."""
        return self.wrong == 0 and self.signals == 0


def _reload(own: OwnGateway) -> None:
    os.kill(own.gateway.pid, signal.SIGHUP)


def _kill(own: OwnGateway) -> None:
    own.gateway.kill()
    own.gateway.start()


CASES = (
    Case("reload, one channel", 1, _reload),
    Case("reload, 1,000 channels", 1_000, _reload),
    Case("kill -9 and start, one channel", 1, _kill),
)


def resumption(subscribers: int = SUBSCRIBERS, cases: tuple[Case, ...] = CASES) -> Table:
    """Measure all cases."""
    others = kept_busy_by_others()
    return table_of({case.name: drop_all(case, subscribers) for case in cases}, others)


def drop_all(case: Case, subscribers: int, spread: Spread = SPREAD) -> Resumption:
    """Drop all subscribers at once and return what became of them."""
    channels = [f"thread:{place}" for place in range(min(case.channels, subscribers))]
    targets = [f"/sub/{channels[place % len(channels)]}" for place in range(subscribers)]
    with (
        own_gateway(
            WORKERS, retry_min_ms=str(spread.least_ms), retry_max_ms=str(spread.most_ms)
        ) as own,
        Audience(own.port, targets, follows=True) as audience,
    ):
        audience.wait_until_open()
        sent: Counter[str] = Counter()
        _send_to_all(own, channels, sent)
        audience.wait_for_frames(sent)
        before, bytes_before = sum(sent.values()), own.resident_bytes()
        gateway, redis = own.cpu_seconds(), own.redis_cpu_seconds()
        began_at = time.monotonic()
        case.drop(own)
        if case.drop is _kill:
            gateway = 0.0
        audience.wait_for_drops(1)
        _send_to_all(own, channels, sent)
        while time.monotonic() < began_at + spread.most_seconds:
            time.sleep(min(_FRAMES_EVERY_SECONDS, spread.most_seconds))
            _send_to_all(own, channels, sent)
        audience.wait_until_open()
        back_seconds = time.monotonic() - began_at
        missed = sum(sent.values()) - before
        gateway, redis = own.cpu_seconds() - gateway, own.redis_cpu_seconds() - redis
        _send_to_all(own, channels, sent)
        audience.wait_for_frames(sent)
        found = audience.findings()
        return Resumption(
            subscribers,
            back_seconds,
            max(found.late_seconds),
            missed / len(channels),
            found.wrong,
            found.signals,
            gateway,
            redis,
            own.resident_bytes() - bytes_before,
        )


def _send_to_all(own: OwnGateway, channels: list[str], sent: Counter[str]) -> None:
    """A frame to each channel; at a time to no more than a site would."""
    frames = []
    for channel in channels:
        sent[f"/sub/{channel}"] += 1
        frames.append((channel, sent[f"/sub/{channel}"]))
    own.send(frames)


def table_of(found: Mapping[str, Resumption], others: str) -> Table:
    """Return the table of what was seen; `others` is a note on the machine."""
    least, most = SPREAD.least_ms / 1000, SPREAD.most_seconds
    return Table(
        f"Resume: {next(iter(found.values())).subscribers} subscribers dropped at once, "
        f"{WORKERS} workers, retry drawn from {least:g} to {most:g} s, frames all the while",
        (
            "how",
            "all back after s",
            "latest late by s",
            "frames each meanwhile",
            "lost or twice",
            "resets, refusals",
            "Redis, of a core",
            "gateway, us each",
            "grown MB",
            "target",
        ),
        [
            (
                name,
                f"{one.back_seconds:.1f}",
                f"{one.latest_seconds:.2f}",
                f"{one.frames_missed:.0f}",
                f"{one.wrong}",
                f"{one.signals}",
                f"{one.redis_share:.1%}",
                f"{1e6 * one.gateway_cpu_seconds / one.subscribers:.0f}",
                f"{one.grown_bytes / 2**20:.1f}",
                met(
                    one.is_exact
                    and one.back_seconds <= most + MOST_LATE_SECONDS
                    and one.redis_share < MOST_REDIS_SHARE
                ),
            )
            for name, one in found.items()
        ],
        [
            f"Target: all back within {most + MOST_LATE_SECONDS:g} s, every frame once, Redis "
            f"under {MOST_REDIS_SHARE:g} of a core. The gateway's and Redis' figures are of the "
            "whole time, live frames included.",
            others,
        ],
    )
