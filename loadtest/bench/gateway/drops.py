"""Thousands of clients that are cut again and again while frames go on: who misses what.

The drop benchmark that others publish: each client is cut at random, is away, and resumes with its
last id. Every frame of every client is checked.
"""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.bench.gateway.audience import Audience
from loadtest.bench.gateway.cuts import Cuts
from loadtest.bench.gateway.exactness import Exactness
from loadtest.bench.gateway.feed import Feed
from loadtest.bench.gateway.own_gateway import own_gateway
from loadtest.bench.gateway.shares import Shares, Watch
from loadtest.bench.machine import kept_busy_by_others
from loadtest.bench.table import Table
from loadtest.percentiles import Percentiles

CLIENTS, WORKERS = 10_000, 2
FRAMES, FRAMES_A_SECOND = 120, 2.0
CUT_EVERY_SECONDS, AWAY_SECONDS = 15.0, 2.0

_CHANNEL = "thread:1"


@dataclass(frozen=True)
class Plan:
    """What is done to whom.

    Attributes:
        clients: all of one channel.
        frames: sent to the channel while clients are cut.
    """

    clients: int
    frames: int
    frames_a_second: float
    cuts: Cuts


@dataclass(frozen=True)
class Drops:
    """What was seen.

    Attributes:
        cut: connections.
        resumed: streams that began again.
        replayed: frames that were due when a client asked to resume.
        replay_ms: from the resuming request's being sent to the client's having read the last frame
            it had missed.
        arrival_ms: of live frames, from the log entry to the kernel's having the client's bytes.
        read_ms: the same until the client had read them.
    """

    plan: Plan
    cut: int
    resumed: int
    replayed: int
    replay_ms: Percentiles
    arrival_ms: Percentiles
    read_ms: Percentiles
    shares: Shares
    exactness: Exactness


def drops(seed: int, clients: int = CLIENTS, frames: int = FRAMES) -> Table:
    """Measure it."""
    others = kept_busy_by_others()
    cuts = Cuts(CUT_EVERY_SECONDS, AWAY_SECONDS, seed)
    return table_of(cut_and_resume(Plan(clients, frames, FRAMES_A_SECOND, cuts)), others)


def cut_and_resume(plan: Plan, **settings: str) -> Drops:
    """Cut clients while frames go on, and return what became of them and of each frame.

    Args:
        settings: of the gateway, as for `own_gateway()`.
    """
    with own_gateway(WORKERS, **settings) as own:
        targets = [f"/sub/{_CHANNEL}"] * plan.clients
        with Audience(own.port, targets, cuts=plan.cuts, follows=True, timed=True) as audience:
            audience.wait_until_open()
            feed = Feed(own, audience, [_CHANNEL], plan.frames_a_second)
            watch = Watch(own, audience)
            audience.begin_cuts()
            feed.send(plan.frames)
            shares = watch.shares()
            audience.end_cuts()
            audience.wait_until_open()
            # Behind this one comes nothing that was meant to come before it.
            feed.send_one()
            audience.have_all(feed.sent)
            found = audience.findings(feed.sent)
        exactness = Exactness.of(found, plan.clients * feed.sent, own)
    return Drops(
        plan,
        found.cuts,
        len(found.back_at),
        found.replayed,
        Percentiles.of(found.replay_ms),
        Percentiles.of(found.arrival_ms),
        Percentiles.of(found.read_ms),
        shares,
        exactness,
    )


def table_of(found: Drops, others: str) -> Table:
    """Return the table of what was seen; `others` is a note on the machine."""
    plan = found.plan
    return Table(
        f"Drops: {plan.clients:,} clients of one channel, {WORKERS} workers, {plan.frames} frames, "
        f"{plan.frames_a_second:g} a second; each client is cut about every "
        f"{plan.cuts.every_seconds:g} s for {plan.cuts.away_seconds:g} s, seed {plan.cuts.seed}",
        ("", "seen", "target", ""),
        [
            ("connections cut", f"{found.cut:,}", "", ""),
            ("a second", f"{found.cut / found.shares.seconds:,.0f}", "", ""),
            ("frames missed and replayed", f"{found.replayed:,}", "", ""),
            *found.exactness.rows(),
            ("replay, ms: p50, p95, p99, max", _milliseconds(found.replay_ms), "", ""),
            ("live frame at the socket, ms: the same", _milliseconds(found.arrival_ms), "", ""),
            ("read by the client, ms: the same", _milliseconds(found.read_ms), "", ""),
            *found.shares.rows(),
        ],
        [
            "Replay: from the resuming request's being sent to the client's having read the last "
            "frame that it had missed. Live frames: from the log entry.",
            *found.exactness.notes(),
            others,
        ],
    )


def _milliseconds(times: Percentiles) -> str:
    return ", ".join(f"{value:.0f}" for value in (times.p50, times.p95, times.p99, times.max))
