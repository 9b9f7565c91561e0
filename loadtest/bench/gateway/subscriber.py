"""One of many subscribers, and what a process of them is told."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Protocol

from loadtest.bench.gateway.cuts import Cuts


@dataclass(frozen=True)
class Share:
    """What one process is told.

    Attributes:
        port: of the gateway, on 127.0.0.1.
        source: the address of 127.0.0.0/8 they connect from; each has ports of its own.
        targets: the request target of each subscriber.
        begins_with: what must have come for a subscription to have begun.
        at_once: while so many are about to begin, no further one connects for the first time.
        follows: whether those whose stream ends come back, as a browser does.
        timed: whether to note when the kernel had each frame, and when we read it.
        cuts: how their connections are cut, when their parent says so.
    """

    port: int
    source: str
    targets: tuple[str, ...]
    begins_with: bytes
    at_once: int = 128
    follows: bool = False
    timed: bool = False
    cuts: Cuts | None = None


class Newest(Protocol):
    """The number of the newest frame that is in the log; memory that the parent writes."""

    value: int


class Subscriber:
    """One connection, and what it has had.

    Attributes:
        newest: the highest number it has had.
        missing: those below that have not come.
        connects: how many connections it has had.
        drops: how often the server ended its stream.
        due: while it resumes, the number up to which it had missed frames; else 0.
    """

    __slots__ = (
        "asked_at",
        "connection",
        "connects",
        "dropped_at",
        "drops",
        "due",
        "is_open",
        "last_id",
        "missing",
        "newest",
        "place",
        "rest",
        "retry_seconds",
        "target",
        "told_to_wait",
    )

    def __init__(self, place: int, target: str) -> None:
        self.place = place
        self.target = target
        self.connection: socket.socket | None = None
        self.connects = 0
        self.drops = 0
        self.rest = b""
        self.is_open = False
        self.newest = 0
        self.missing: set[int] | None = None
        self.last_id = b""
        self.due = 0
        self.asked_at = 0.0
        self.retry_seconds = 3.0
        self.told_to_wait = 0.0
        self.dropped_at = 0.0

    def lacks(self, newest: int) -> int:
        """Return how many of the frames up to a number it has not had."""
        return len(self.missing or ()) + max(0, newest - self.newest)
