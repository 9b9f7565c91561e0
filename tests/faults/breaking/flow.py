"""One direction of a connection through a link: bytes that wait until it is time to deliver them.

What waits is bounded: at the bound no more is read, so that the sender finds its socket full.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from random import Random
from typing import Protocol

from tests.faults.breaking.condition import Condition

BUFFER_BYTES = 65_536
"""What a link keeps of one direction at most, in each of the places where bytes can be."""

_PIECES_A_SECOND = 20
_SPLIT_SECONDS = 0.0005
# Small pieces where heads and lengths are; a whole page byte by byte would take minutes.
_SPLIT_FINELY_BYTES = 64


class End(Protocol):
    """What a flow needs of a socket."""

    def hold(self, reason: str) -> None: ...

    def release(self, reason: str) -> None: ...

    def write(self, data: bytes) -> None: ...

    def write_end(self) -> None: ...


class Flow:
    """Brings what comes from one end to the other, in order, each piece when it is due."""

    def __init__(self, source: End, target: End) -> None:
        self._source = source
        self._target = target
        # None is the end of it all.
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        self._waiting_bytes = 0
        self._last_due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def put(self, data: bytes, condition: Condition, random: Random) -> None:
        """Deliver bytes as the condition says: at once, late, slowly or in small pieces."""
        if condition.mode not in ("slow", "split") and not self._waiting:
            self._target.write(data)
            return
        now = asyncio.get_running_loop().time()
        due = now
        if condition.mode == "slow":
            due += condition.latency_seconds + random.random() * condition.jitter_seconds
        for piece in _pieces(data, condition, random):
            due = max(due, self._last_due)
            if condition.mode == "slow" and condition.bytes_per_second:
                due += len(piece) / condition.bytes_per_second
            if condition.mode == "split":
                due += _SPLIT_SECONDS
            self._last_due = due
            self._waiting.append((due, piece))
            self._waiting_bytes += len(piece)
        if self._waiting_bytes >= BUFFER_BYTES:
            self._source.hold("waiting")
        self._wait()

    def end(self) -> None:
        """No more comes; say so behind what waits."""
        if self._waiting:
            self._waiting.append((self._last_due, None))
        else:
            self._target.write_end()

    def hurry(self) -> None:
        """Deliver at once all that waits."""
        if not self._waiting:
            return
        self._last_due = 0.0
        self._waiting = deque((0.0, piece) for _, piece in self._waiting)
        self.stop()
        self._deliver()

    def stop(self) -> None:
        """Deliver nothing more of what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        if self._timer is None and self._waiting:
            at = self._waiting[0][0]
            self._timer = asyncio.get_running_loop().call_at(at, self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._waiting and self._waiting[0][0] <= now:
            _, piece = self._waiting.popleft()
            if piece is None:
                self._target.write_end()
                return
            self._waiting_bytes -= len(piece)
            self._target.write(piece)
        if self._waiting_bytes < BUFFER_BYTES:
            self._source.release("waiting")
        self._wait()


def _pieces(data: bytes, condition: Condition, random: Random) -> Iterator[bytes]:
    size = len(data)
    if condition.mode == "slow" and condition.bytes_per_second:
        size = max(1, condition.bytes_per_second // _PIECES_A_SECOND)
    at = 0
    while at < len(data):
        if condition.mode == "split":
            size = random.randint(1, 7 if at < _SPLIT_FINELY_BYTES else 1500)
        yield data[at : at + size]
        at += size
