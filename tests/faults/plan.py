"""What a fault run is to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults.catalogue import CATALOGUE
from tests.faults.catalogue.fault import Fault

BOUND_SECONDS = 30.0
"""All must work again so long after a fault, whatever it was."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be.

    Attributes:
        seconds: for how long faults are injected; behind a script, for how long there is load.
        readers: how many, beside the pages.
        mixtures: how often what comes next is several faults at once.
        faults: what is drawn from.
        each_once: whether every fault comes once, in random order, before any comes again.
        script: these instead of what is drawn, one after the other.
        pause_seconds: the most that lies between a recovery and the next fault.
        quiet_seconds: when nothing has come for so long at the end, all has come. Longer than a
            ping, at which a stream is told of what it lacks.
    """

    seed: int
    seconds: float
    readers: int = 200
    threads: int = 4
    writers: int = 6
    events_per_second: float = 50.0
    mixtures: float = 0.25
    faults: Sequence[Fault] = CATALOGUE
    each_once: bool = True
    script: Sequence[Fault] | None = None
    pause_seconds: float = 0.5
    quiet_seconds: float = 17.0

    @property
    def load(self) -> str:
        """The load in one line."""
        return (
            f"{self.writers} writers, about {self.events_per_second:g} events a second on "
            f"{self.threads} threads, {self.readers} readers and {2 * self.threads} pages"
        )
