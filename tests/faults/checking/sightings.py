"""When a frame came to a reader, as nearly as is known."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence, Set
from math import inf

from tests.faults.evidence import Evidence, ReaderHistory


class Sightings:
    """Says who got a frame, and when.

    Few readers note a time with each frame. Of the others it is known which signs came before, and
    that no frame came before its event was written.

    Args:
        begun: of each frame, when its event's write began; minus infinity when that is not known.
    """

    def __init__(self, evidence: Evidence, begun: Sequence[float]) -> None:
        self._evidence = evidence
        self._begun = begun

    def time_of(self, reader: ReaderHistory, position: int) -> float:
        """Return when a reader got the frame at this place of its history."""
        if position < len(reader.times):
            return reader.times[position]
        later = bisect_right(reader.marks, position, key=lambda mark: mark.after)
        at = reader.marks[later - 1].at if later else -inf
        for frame in reader.frames[max(0, position - 1) : position + 1]:
            at = max(at, self._begun[frame])
        return at if at > -inf else self._evidence.ended_at

    def first_of(self, frames: Set[int]) -> dict[int, tuple[str, float]]:
        """Return for each of these frames the name of a reader that got it, and when it did."""
        found = dict.fromkeys(frames, ("nobody", self._evidence.ended_at))
        left = set(frames)
        for reader in self._evidence.readers:
            if not left:
                break
            for frame in left.intersection(reader.frames):
                found[frame] = (reader.name, self.time_of(reader, reader.frames.index(frame)))
                left.discard(frame)
        return found
