"""How long to leave alone what failed."""

from __future__ import annotations

import random

_MOST_DOUBLINGS = 32
"""Far beyond every bound; a number that doubled with each failure of a long night has no float."""


def full_jitter(failures: int, first_seconds: float, longest_seconds: float) -> float:
    """Draws a time between nothing and a bound that doubles with each failure (full jitter;
    Brooker, AWS, 2015), so that those who failed together do not come back together.

    Args:
        failures: in a row, from 1.
        first_seconds: the bound after the first.
        longest_seconds: the bound never grows beyond it.
    """
    bound = first_seconds * 2 ** min(failures - 1, _MOST_DOUBLINGS)
    return random.uniform(0, min(longest_seconds, bound))
