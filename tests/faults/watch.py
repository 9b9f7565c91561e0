"""Looks on while the log grows and its epoch changes, past all gateways, and knows by itself
whether Redis lost anything.

A canary: a counter in Redis that only we raise, some twenty times a second. When an answer is not
one above the last answer, Redis has lost writes that it had acknowledged.
"""

from __future__ import annotations

import threading
import time

import redis

from tests.faults.evidence import EpochMove
from tests.faults.stage.system import System

_EVERY_SECONDS = 0.05
_CANARY = "faults:canary"
_MOST_ENTRIES = 5_000

_SEEN_LATE_SECONDS = 2.0
"""An epoch may have been seen to change before the canary has an answer again."""

BETWEEN_SECONDS = 15.0
"""So long after Redis was seen to have lost something an epoch may still begin for it: those who
notice first may be stopped, or cut off, themselves."""


class Watch(threading.Thread):
    """Watches one Redis until told to stop.

    Attributes:
        losses: when Redis was found, or made, to have lost acknowledged writes.
        log: see `Evidence.log`.
    """

    def __init__(self, system: System) -> None:
        super().__init__(name="watch", daemon=True)
        self.losses: list[float] = []
        self.log: dict[tuple[str, str], list[tuple[int, int, float]]] = {}
        self._system = system
        self._moves: list[tuple[float, str, str]] = []
        self._enough = threading.Event()

    def note_loss(self) -> None:
        """Redis has been made to lose something."""
        self.losses.append(time.monotonic())

    def stop(self) -> None:
        """Watch no longer."""
        self._enough.set()
        self.join(10)

    def run(self) -> None:
        """Watch until told to stop."""
        client, keys = self._system.redis(), self._system.keys
        acknowledged, epoch, last_id = 0, "", "0-0"
        while not self._enough.wait(_EVERY_SECONDS):
            try:
                pipeline = client.pipeline(transaction=True)
                pipeline.incr(_CANARY)
                pipeline.get(keys.epoch)
                pipeline.xrange(keys.log, f"({last_id}", "+", count=_MOST_ENTRIES)
                counted, found, entries = pipeline.execute()
            except redis.RedisError:
                # It may have counted without having answered.
                client.close()
                continue
            if counted <= acknowledged:
                self.note_loss()
            acknowledged = counted
            current = found.decode() if found else ""
            if current and current != epoch:
                if epoch:
                    self._moves.append((time.monotonic(), epoch, current))
                epoch = current
                # The log may have begun anew, or have lost its end and grown since.
                last_id = "0-0"
            elif entries and current:
                last_id = entries[-1][0].decode()
                self._note(current, entries)
        client.close()

    def _note(self, epoch: str, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        now = time.monotonic()
        for entry_id, fields in entries:
            ms, _, seq = entry_id.partition(b"-")
            for channel in fields.get(b"channels", b"").decode().split():
                self.log.setdefault((channel, epoch), []).append((int(ms), int(seq), now))

    def epochs(self) -> list[EpochMove]:
        """Return every change of the epoch that was seen, and whether there was reason for it.

        A loss is reason for one change: what was noted of it before excuses no other. Where none
        was noted before, the first one that was noted a little later is the reason.
        """
        moves, losses = [], sorted(self.losses)
        for at, old, new in self._moves:
            reasons = [loss for loss in losses if at - BETWEEN_SECONDS < loss <= at]
            if not reasons:
                reasons = [loss for loss in losses if at < loss < at + _SEEN_LATE_SECONDS][:1]
            if reasons:
                losses = [loss for loss in losses if loss > reasons[-1]]
            moves.append(EpochMove(at, old, new, bool(reasons)))
        return moves
