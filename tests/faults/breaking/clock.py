"""A wall clock for each part that can be stepped while the part runs.

What a step does to the whole system, writing and watched, as tried; nothing was lost, came twice or
out of order, no stream ended and none was reset:

Redis +5 s, +40 s, +3,700 s: all leases (3 s) run out at once, as they are Redis' by design;
    formatter and relay take them anew, and frames are up to 0.9 s late.
Redis -5 s, -40 s, -3,700 s: nothing; leases are renewed within a second, and the log's ids stay at
    the highest time until that is reached again. Put right again, it is a step forward.
Gateway -30 s, +3,600 s, -3,600 s: nothing.
Formatter, relay, site +3,600 s, -3,600 s: nothing but wrong times in what they write down.

Legitimate too, by the same rules, where it happens: Redis put forward by an hour forgets the
histories (a stream that resumes then is reset, reason `history`) and the ids of frames published
before; put back, it keeps the lease of who dies within that second for so much longer. A relay
put forward by the outbox's retention purges what Redis may still lose. Tokens expire by the clocks
of the site that signs and the gateway that checks.

libfaketime (0.9.10) does not serve: Redis does not start with it, for its allocator asks for the
time before libfaketime is ready, and Python's `time.sleep` fails with EINVAL when the monotonic
clock is to stay as it is.
"""

from __future__ import annotations

from pathlib import Path

from tests.faults.breaking.preload import Preload


class Clocks:
    """Gives each part a clock; see `Preload` for the directory."""

    def __init__(self, directory: Path) -> None:
        self._offsets = Preload(Path(__file__).with_name("clock.c"), "FAULTS_CLOCK", directory)

    def environment(self, part: str) -> dict[str, str]:
        """Return what a part is started with to have a clock of its own, right at first."""
        return self._offsets.environment(part)

    def step(self, part: str, seconds: float) -> None:
        """Put a part's clock forward, or back; all of its processes see it at once."""
        self._offsets.write(part, self.offset_seconds(part) + seconds)

    def reset(self, part: str) -> None:
        """Put a part's clock right, in one step."""
        self._offsets.write(part, 0)

    def offset_seconds(self, part: str) -> float:
        """Return how far a part's clock is ahead of the machine's."""
        return self._offsets.read(part)
