"""Has a part started again that runs and answers nobody."""

import sys
import time
from collections.abc import Callable, Sequence

from stack.output import say
from stack.parts import Part

LOOK_SECONDS = 5.0
# Longer than any pause from which a part comes back by itself.
SILENT_SECONDS = 30.0


class Watch:
    """Looks after the parts that say how to ask them.

    Args:
        kill: ends a part by its name; its supervisor starts it again.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        kill: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kill = kill
        self._clock = clock
        self._looked_at = clock()
        self._asks = {part.name: part.answers for part in parts if part.answers}
        self._heard_at = dict.fromkeys(self._asks, self._looked_at)

    def look(self) -> None:
        """Ask the parts, now and then, and kill one that has been silent for too long."""
        if self._clock() - self._looked_at < LOOK_SECONDS:
            return
        for name, answers in self._asks.items():
            is_heard, now = answers(), self._clock()
            if not is_heard and now - self._heard_at[name] < SILENT_SECONDS:
                continue
            if not is_heard:
                say(f"{name} has not answered for {SILENT_SECONDS:g} s: killing it", sys.stderr)
                self._kill(name)
            self._heard_at[name] = now
        self._looked_at = self._clock()
