"""nginx reloaded again and again under load: who comes back when, and with what."""

from __future__ import annotations

import os
import signal
import statistics
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from loadtest.bench.gateway.audience import Audience
from loadtest.bench.gateway.exactness import Exactness
from loadtest.bench.gateway.feed import Feed
from loadtest.bench.gateway.findings import RELOAD
from loadtest.bench.gateway.own_gateway import OwnGateway, own_gateway
from loadtest.bench.gateway.shares import Shares, Watch
from loadtest.bench.machine import kept_busy_by_others
from loadtest.bench.table import Table, met
from loadtest.errors import LoadTestError
from loadtest.percentiles import Percentiles, nearest_rank
from stack.process import wait_until

SUBSCRIBERS, WORKERS, RELOADS = 5_000, 2, 200
CHANNELS, FRAMES_A_SECOND = 20, 2.0
MOST_BACK_SECONDS = 35.0
MOST_PEAK = 2.0
MOST_GROWTH_KB = 16.0
BIN_SECONDS = 0.5

# The first reloads fill what is kept from one to the next.
_WARM_UP = 0.1
_MOST_OF_ALL = 0.99
_ENOUGH = 50
_DEADLINE_SECONDS = 2 * MOST_BACK_SECONDS


@dataclass(frozen=True)
class Plan:
    """What is done to whom.

    Attributes:
        channels: the subscribers are shared among them.
        frames_a_second: to each channel.
    """

    subscribers: int
    reloads: int
    channels: int = CHANNELS
    frames_a_second: float = FRAMES_A_SECOND


@dataclass(frozen=True)
class Reload:
    """One reload.

    Attributes:
        back_seconds: from the signal to the last subscriber's return, old workers gone.
        returns: how many returned in each bin, from the first to when nearly all are back.
        told: how many were told to return in each bin: what the machine was too busy for is not
            in it.
        resident_bytes: nginx' memory afterwards.
    """

    back_seconds: float
    returns: Sequence[int]
    told: Sequence[int]
    resident_bytes: int

    @property
    def peak(self) -> float:
        """How many times the average rate of the returns the highest one was."""
        return _peak(self.returns)

    @property
    def peak_told(self) -> float:
        """The same of what the gateway told."""
        return _peak(self.told)


def _peak(bins: Sequence[int]) -> float:
    return max(bins) / statistics.mean(bins)


@dataclass(frozen=True)
class Reloads:
    """What was seen.

    Attributes:
        frames: sent to each channel.
        early: connects that met an old worker and were told to come back at once.
    """

    plan: Plan
    frames: int
    early: int
    shares: Shares
    reloads: Sequence[Reload]
    exactness: Exactness

    @property
    def growth_kilobytes(self) -> float | None:
        """By how much nginx' memory grew with each reload, by the line that fits all best.

        It goes up and down by half a megabyte: None when they are too few to tell.
        """
        settled = self.reloads[int(len(self.reloads) * _WARM_UP) :]
        if len(settled) < _ENOUGH:
            return None
        sizes = [one.resident_bytes / 1024 for one in settled]
        return statistics.linear_regression(range(len(sizes)), sizes).slope


def reloads(subscribers: int = SUBSCRIBERS, count: int = RELOADS) -> Table:
    """Measure it; a reload takes about six seconds."""
    others = kept_busy_by_others()
    return table_of(reload_again_and_again(Plan(subscribers, count)), others)


def reload_again_and_again(plan: Plan, **settings: str) -> Reloads:
    """Reload nginx, each time when all are back, and return what became of the subscribers.

    Args:
        settings: of the gateway, as for `own_gateway()`.
    """
    channels = [f"thread:{place}" for place in range(plan.channels)]
    targets = [f"/sub/{channels[place % plan.channels]}" for place in range(plan.subscribers)]
    with own_gateway(WORKERS, **settings) as own:
        with Audience(own.port, targets, follows=True) as audience:
            audience.wait_until_open()
            feed = Feed(own, audience, channels, plan.frames_a_second)
            watch = Watch(own, audience)
            with feed.in_background():
                seen = [_reload(own, audience, place + 1) for place in range(plan.reloads)]
            shares = watch.shares()
            # Behind this one comes nothing that was meant to come before it.
            feed.send_one()
            audience.have_all(feed.sent)
            found = audience.findings(feed.sent)
        exactness = Exactness.of(found, plan.subscribers * feed.sent, own)
    back_at = sorted(found.back_at)
    told_at = sorted(
        back - late for back, late in zip(found.back_at, found.late_seconds, strict=True)
    )
    return Reloads(
        plan,
        feed.sent,
        found.refusals[RELOAD],
        shares,
        [
            Reload(
                ended_at - signal_at,
                _binned(back_at, signal_at, ended_at),
                _binned(told_at, signal_at, ended_at),
                resident_bytes,
            )
            for signal_at, ended_at, resident_bytes in seen
        ],
        exactness,
    )


def _reload(own: OwnGateway, audience: Audience, count: int) -> tuple[float, float, int]:
    """Reload for the `count`-th time; return when, when all were back, and nginx' memory then."""
    old = [pid for pid in own.gateway.worker_pids if psutil.pid_exists(pid)]
    signal_at = time.monotonic()
    os.kill(own.gateway.pid, signal.SIGHUP)
    audience.wait_for_drops(count, _DEADLINE_SECONDS)
    audience.wait_until_open(_DEADLINE_SECONDS)
    wait_until(
        lambda: not set(old) & set(own.gateway.worker_pids),
        _DEADLINE_SECONDS,
        "the old workers are gone",
    )
    return signal_at, time.monotonic(), own.resident_bytes()


def _binned(times: list[float], begin: float, end: float) -> list[int]:
    """Return how many of the moments between two lie in each bin.

    The bins reach from the first moment to that of 99 % of all: a few that come much later would
    lower the average.

    Args:
        times: in rising order.
    """
    ours = times[bisect_left(times, begin) : bisect_left(times, end)]
    if not ours:
        raise LoadTestError("reloads: nobody came back from one; look at the gateway")
    bins = Counter(int((at - ours[0]) / BIN_SECONDS) for at in ours)
    # The last bin is not a whole one.
    whole = int((nearest_rank(ours, _MOST_OF_ALL) - ours[0]) / BIN_SECONDS)
    return [bins[place] for place in range(max(1, whole))]


def table_of(found: Reloads, others: str) -> Table:
    """Return the table of what was seen; `others` is a note on the machine."""
    plan = found.plan
    back = Percentiles.of(one.back_seconds for one in found.reloads)
    peak = Percentiles.of(one.peak for one in found.reloads)
    told = Percentiles.of(one.peak_told for one in found.reloads)
    growth = found.growth_kilobytes
    return Table(
        f"Reloads: {plan.reloads} of nginx under load, {plan.subscribers:,} subscribers of "
        f"{plan.channels} channels, {WORKERS} workers, {plan.frames_a_second:g} frames a second to "
        "each channel",
        ("", "seen", "target", ""),
        [
            ("reloads", f"{len(found.reloads)}", "", ""),
            *found.exactness.rows(),
            (
                "all back after s: median, longest",
                f"{back.p50:.1f}, {back.max:.1f}",
                f"<= {MOST_BACK_SECONDS:g}",
                met(back.max <= MOST_BACK_SECONDS),
            ),
            (
                "highest rate of returns over the average: median, worst",
                f"{peak.p50:.2f}x, {peak.max:.2f}x",
                f"<= {MOST_PEAK:g}x",
                met(peak.max <= MOST_PEAK),
            ),
            ("the same of what the gateway told", f"{told.p50:.2f}x, {told.max:.2f}x", "", ""),
            ("connects that met an old worker", f"{found.early}", "", ""),
            (
                "nginx' memory, MB: first, last",
                f"{found.reloads[0].resident_bytes / 2**20:.1f}, "
                f"{found.reloads[-1].resident_bytes / 2**20:.1f}",
                "",
                "",
            ),
            (
                "growth with each reload, KB",
                "too few reloads to tell" if growth is None else f"{growth:.1f}",
                f"<= {MOST_GROWTH_KB:g}",
                "" if growth is None else met(growth <= MOST_GROWTH_KB),
            ),
            *found.shares.rows(),
        ],
        [
            f"It took {found.shares.seconds / 60:.1f} minutes: the next reload begins when all are "
            f"back and the old workers gone. Rates of returns are those of {BIN_SECONDS:g} s each, "
            f"from a reload's first return to when {_MOST_OF_ALL:.0%} are back.",
            *found.exactness.notes(),
            others,
        ],
    )
