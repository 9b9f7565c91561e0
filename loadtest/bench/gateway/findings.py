"""What the subscribers of one or several processes saw, and what of it is wrong."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field, fields

RELOAD = "reload"
"""Why an old worker, at a reload, takes nobody in: no fault, the client comes back at once."""


def _doubles() -> array[float]:
    return array("d")


@dataclass
class Findings:
    """What subscribers saw; all of them ask for frames that count from 1, without a hole.

    Attributes:
        frames: how many came.
        lost: frames that never came, a reset or not.
        twice: frames that a subscriber had already.
        out_of_order: frames that came behind one that follows them.
        resets: by reason.
        refusals: by reason; a status other than 200 is one.
        drops: streams that the server ended.
        cuts: connections that we cut.
        failures: connects that failed, or broke before a word of answer.
        replayed: frames that were due when a subscriber asked to resume.
        replay_ms: of each return at which some were due: from the request to the last of them.
        arrival_ms: of live frames, from a frame's log entry to the kernel's having its bytes for
            the subscriber.
        read_ms: from the log entry to the subscriber's having read it.
        away_seconds: of each return, from the end of the stream to the beginning of the next.
        late_seconds: that, less what the client was to wait.
        back_at: when each stream began again; monotonic clock.
    """

    frames: int = 0
    lost: int = 0
    twice: int = 0
    out_of_order: int = 0
    resets: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    drops: int = 0
    cuts: int = 0
    failures: int = 0
    replayed: int = 0
    replay_ms: array[float] = field(default_factory=_doubles)
    arrival_ms: array[float] = field(default_factory=_doubles)
    read_ms: array[float] = field(default_factory=_doubles)
    away_seconds: array[float] = field(default_factory=_doubles)
    late_seconds: array[float] = field(default_factory=_doubles)
    back_at: array[float] = field(default_factory=_doubles)

    @property
    def wrong(self) -> int:
        """Frames that were lost, came twice, or in another order."""
        return self.lost + self.twice + self.out_of_order

    @property
    def signals(self) -> int:
        """Resets and refusals."""
        return self.resets.total() + self.refusals.total() - self.refusals[RELOAD]

    def add(self, other: Findings) -> None:
        """Take in what others saw."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
