"""How long to wait before a try is repeated."""

from __future__ import annotations

import random

UNREACHABLE_SECONDS = (0.1, 2.0)
"""Between two tries at a server that does not answer: the first pause and the longest."""


def jittered(bounds: tuple[float, float], failures: int) -> float:
    """Return a pause drawn between nothing and a length that doubles with each failure."""
    shortest, longest = bounds
    return random.uniform(0.2, 1) * min(longest, shortest * 2.0 ** min(failures, 10))
