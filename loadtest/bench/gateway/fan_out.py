"""The gateway's processor time for one delivery, beside a bare loop of send() and push-stream."""

from __future__ import annotations

import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loadtest.bench.gateway.audience import Audience
from loadtest.bench.gateway.other_fan_outs import BareLoop, PushStreamAlone
from loadtest.bench.gateway.own_gateway import OwnGateway
from loadtest.bench.spent import TICK_SECONDS, pin
from loadtest.bench.table import Table, met
from loadtest.errors import LoadTestError

SUBSCRIBERS, FRAMES, ROUNDS = 2_000, 200, 3
MOST_TIMES_BARE = 2.2
BARE, MODULE, GATEWAY = "bare send() loop", "push-stream alone", "gateway"
SEVERAL, SPREAD = "gateway, 4 channels each", "gateway, channels of 10"

SERVER_CORE, CLIENT_CORE = 0, 1
_SPREAD_SIZE = 10
# Frames before those that count: memory is touched, and what is compiled on the way is.
_WARM_UP = 10


class FanOut(Protocol):
    """Whoever sends frames to subscribers."""

    port: int
    begins_with: bytes

    @property
    def pids(self) -> list[int]: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def send(self, frames: Sequence[tuple[str, int]]) -> None: ...
    def cpu_seconds(self) -> float: ...


@dataclass(frozen=True)
class Way:
    """One row: who sends to whom.

    Attributes:
        server: makes it, given how many subscribe.
        target: the request target of the n-th subscriber.
        bursts: the channels that get a frame each, at one time: each the one in front of which all
            subscribers have theirs.
    """

    server: Callable[[int], FanOut]
    target: Callable[[int], str]
    bursts: Callable[[int, int], list[list[str]]]


def _to_one(subscribers: int, frames: int) -> list[list[str]]:
    return [["thread:1"]] * frames


def _to_four_in_turn(subscribers: int, frames: int) -> list[list[str]]:
    return [[f"thread:{place % 4}"] for place in range(frames)]


def _to_all(subscribers: int, frames: int) -> list[list[str]]:
    """A tenth of the frames' deliveries: most of the time goes into the frames here."""
    channels = [f"thread:{place}" for place in range(subscribers // _SPREAD_SIZE)]
    return [channels] * max(1, frames // 10)


def _gateway(_: int) -> FanOut:
    return _GatewayInFolder()


class _GatewayInFolder(OwnGateway):
    """A gateway with one worker that brings its folder along."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pushgate-bench-")
        super().__init__(Path(self._folder.name), 1, {})

    def stop(self) -> None:
        super().stop()
        self._folder.cleanup()


WAYS: Mapping[str, Way] = {
    BARE: Way(BareLoop, lambda _: "/sub/thread:1", _to_one),
    MODULE: Way(lambda _: PushStreamAlone(), lambda _: "/sub/thread:1", _to_one),
    GATEWAY: Way(_gateway, lambda _: "/sub/thread:1", _to_one),
    SEVERAL: Way(_gateway, lambda _: "/sub/thread:0/thread:1/thread:2/thread:3", _to_four_in_turn),
    SPREAD: Way(_gateway, lambda place: f"/sub/thread:{place // _SPREAD_SIZE}", _to_all),
}


def fan_out(subscribers: int = SUBSCRIBERS, frames: int = FRAMES, rounds: int = ROUNDS) -> Table:
    """Measure all ways in turn, several times."""
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            found[name].append(microseconds_of(way, subscribers, frames))
    return table_of(found, subscribers, frames)


def microseconds_of(way: Way, subscribers: int, frames: int) -> float:
    """Return a server's processor time for one delivery, in microseconds."""
    server = way.server(subscribers)
    try:
        server.start()
        for pid in server.pids:
            pin(pid, SERVER_CORE)
        targets = [way.target(place) for place in range(subscribers)]
        with Audience(
            server.port, targets, server.begins_with, processes=1, core=CLIENT_CORE
        ) as audience:
            audience.wait_until_open()
            sender = _Sender(server, audience)
            for burst in way.bursts(subscribers, _WARM_UP):
                sender.send(burst)
            deliveries, before = sender.deliveries, server.cpu_seconds()
            for burst in way.bursts(subscribers, frames):
                sender.send(burst)
            spent = max(TICK_SECONDS, server.cpu_seconds() - before)
            if wrong := audience.findings().wrong:
                raise LoadTestError(f"fan-out: {wrong} frames were lost or came twice")
            return 1e6 * spent / (sender.deliveries - deliveries)
    finally:
        server.stop()


class _Sender:
    """Sends frames, one burst when all have the one before, and numbers them."""

    def __init__(self, server: FanOut, audience: Audience) -> None:
        self._server = server
        self._audience = audience
        self._target_of = {
            channel: target
            for part in audience.parts
            for target in part.targets
            for channel in target.removeprefix("/sub/").split("/")
        }
        self._sizes = sum((part.targets for part in audience.parts), Counter[str]())
        self._sent: Counter[str] = Counter()
        self.deliveries = 0

    def send(self, channels: Sequence[str]) -> None:
        """Send a frame to each of the channels; return when all have theirs."""
        frames = []
        for channel in channels:
            target = self._target_of[channel]
            self._sent[target] += 1
            self.deliveries += self._sizes[target]
            frames.append((channel, self._sent[target]))
        self._server.send(frames)
        self._audience.wait_for_frames(self._sent)


def table_of(found: Mapping[str, Sequence[float]], subscribers: int, frames: int) -> Table:
    """Return the table of microseconds for one delivery, several of each way."""
    medians = {name: statistics.median(values) for name, values in found.items()}
    times = medians[GATEWAY] / medians[BARE]
    return Table(
        f"Fan-out: {subscribers} subscribers, {frames} frames of 300 bytes, 1 worker, processor "
        "time of the server",
        ("who sends", "us per delivery", "least", "most", "times bare", "times module"),
        [
            (
                name,
                f"{medians[name]:.2f}",
                f"{min(values):.2f}",
                f"{max(values):.2f}",
                f"{medians[name] / medians[BARE]:.2f}x",
                f"{medians[name] / medians[MODULE]:.2f}x",
            )
            for name, values in found.items()
        ],
        [
            f"Medians of {len(found[BARE])}. Target: the gateway at most {MOST_TIMES_BARE}x a bare "
            f"loop: {met(times <= MOST_TIMES_BARE)}, {times:.2f}x.",
            "The bare loop is C, one send() for each subscriber. Each frame is sent when all "
            "subscribers have the one before.",
            f"Channels of {_SPREAD_SIZE}: a frame for each of {subscribers // _SPREAD_SIZE} "
            "channels at a time; what a frame costs the gateway by itself is spread over "
            f"{_SPREAD_SIZE} deliveries.",
        ],
    )
