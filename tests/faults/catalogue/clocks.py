"""Wall clocks that are put forward or back, and put right again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tests.faults.catalogue.fault import CLOCK, Fault, Ground

_HOUR = 3600.0


def _step(part: str, steps: Sequence[float]) -> Callable[[Ground, Random], None]:
    def inject(ground: Ground, random: Random) -> None:
        seconds = random.choice(steps)
        ground.notes[f"{part}: clock put wrong"] = f"{seconds:+g} s"
        ground.system.clocks.step(part, seconds)
        try:
            ground.wait(random.uniform(1, 4))
        finally:
            ground.system.clocks.reset(part)

    return inject


FAULTS = (
    Fault("redis: clock put wrong", CLOCK, _step("redis", (5, -5, 40, -40))),
    *(
        Fault(f"{part}: clock put wrong", CLOCK, _step(part, (30, -30, _HOUR, -_HOUR)), weight=0.7)
        for part in ("gateway", "formatter", "relay", "site")
    ),
)
