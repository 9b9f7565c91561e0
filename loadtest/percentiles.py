"""Percentiles of what was measured, exactly: of the values themselves, none made up between two."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The distribution of some measurements, in their own unit; all 0 when there are none."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Percentiles:
        """Return the distribution of the values."""
        ordered = sorted(values)
        if not ordered:
            return cls(0, 0, 0, 0, 0)
        p50, p95, p99 = (nearest_rank(ordered, share) for share in (0.5, 0.95, 0.99))
        return cls(len(ordered), p50, p95, p99, ordered[-1])


def nearest_rank(ordered: list[float], share: float) -> float:
    """Return the smallest value that is at least as large as `share` of all values.

    Args:
        ordered: in rising order, at least one.
        share: above 0, at most 1.
    """
    return ordered[math.ceil(share * len(ordered)) - 1]
