"""Jobs that came to their end and are still to be written, in the order in which they ended."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from gevent.event import Event as Flag

from pushgate import Finished, Frame

BATCH_JOBS = 100
BATCH_BYTES = 1024 * 1024
"""At one of these a batch is written; Redis does nothing else meanwhile."""


class Burial(NamedTuple):
    """A job to give up, in its turn.

    Attributes:
        entry_id: the job's.
        reason: why.
        frames: what its channels are told.
    """

    entry_id: str
    reason: str
    frames: tuple[Frame, ...]


class Together(NamedTuple):
    """Jobs that end in one step, or not at all.

    Attributes:
        jobs: first to last.
    """

    jobs: tuple[Finished, ...]


class EndedJobs:
    """The queue between those that work on jobs and the one that writes what became of them."""

    def __init__(self) -> None:
        self._ended: deque[Together | Burial] = deque()
        self._something = Flag()

    def add(self, ended: Together | Burial) -> None:
        """Adds what ended last."""
        if not self._ended:
            self._something.set()
        self._ended.append(ended)

    def wait(self) -> None:
        """Waits until there is something, or `clear` was called."""
        self._something.wait()
        self._something.clear()

    def take(self) -> Burial | list[Finished] | None:
        """What is to be written next: a burial, or all that finished before the next one, as much
        as is written at once; None when there is nothing.
        """
        if not self._ended:
            return None
        first = self._ended[0]
        if isinstance(first, Burial):
            self._ended.popleft()
            return first
        batch: list[Finished] = []
        size = 0
        while self._ended and len(batch) < BATCH_JOBS and size < BATCH_BYTES:
            group = self._ended[0]
            if isinstance(group, Burial):
                break
            self._ended.popleft()
            batch += group.jobs
            for finished in group.jobs:
                for frame in finished.frames:
                    size += len(frame.data)
        return batch

    def clear(self) -> None:
        """Forgets everything and wakes who waits."""
        self._ended.clear()
        self._something.set()
