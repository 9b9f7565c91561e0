"""When the connections of subscribers are cut."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Cuts:
    """How often each connection is cut, and for how long.

    Attributes:
        every_seconds: how long a connection lasts on average. At any moment it is as likely to be
            cut as at any other, so that some are cut before their stream has begun.
        away_seconds: how long its subscriber is away then.
    """

    every_seconds: float
    away_seconds: float
    seed: int

    def lasts_seconds(self, source: str, place: int, count: int) -> float:
        """Return how long a subscriber's connection lasts; the same for the same seed.

        Args:
            source: the address the subscriber connects from.
            place: the subscriber's among those of the address.
            count: so many connections it has had.
        """
        drawn = random.Random(f"{self.seed} {source} {place} {count}")
        return drawn.expovariate(1 / self.every_seconds)
