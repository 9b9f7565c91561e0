"""What a fault is, and what it may lay hands on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.faults.breaking.links import Links
from tests.faults.stage.system import System

PROCESSES, CRASH_POINTS, LINKS = "processes", "crash points", "links"
DATA, DISK, CLOCK, CLIENTS = "data", "disk", "clock", "clients"


class NoEffect(Exception):
    """It could not be done, or nothing came of it: this is no run of the fault."""


@dataclass(slots=True)
class Ground:
    """What faults act on.

    Attributes:
        channels: those that are written to.
        over: set when the run is; whoever waits stops waiting.
        notes: what a fault has to say of itself, by its name; read and emptied by the runner.
        database_lock: held by whoever ends or fills the database.
    """

    system: System
    channels: tuple[str, ...]
    over: threading.Event = field(default_factory=threading.Event)
    notes: dict[str, str] = field(default_factory=dict)
    database_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def links(self) -> Links:
        """The links between the parts."""
        return self.system.links

    def wait(self, seconds: float) -> None:
        """Let time pass, less of it when the run is over."""
        self.over.wait(seconds)

    def send(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a process.

        Raises:
            NoEffect: it is gone.
        """
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            raise NoEffect(f"process {pid} was gone already") from None


Thaw = Callable[[], None]
"""What is left when everything works again: ends a fault that lasts, or waits for what must be done
before the next. Raises DeadlineMissed, which is a finding."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can happen.

    Attributes:
        name: `<what it befalls>: <what happens>`; two of one run never befall the same.
        inject: makes it happen and returns when it is over; what is to recover by itself then
            does. All must recover before a `Thaw` that it returns is called. Raises NoEffect.
        bound_seconds: by then all must work again; what takes longer is a finding.
        target_seconds: what the 99th percentile of its recoveries is to be below; None where
            nothing was promised.
        weight: how often it is drawn, beside others.
        mixes: whether it may come together with others.
        loses_data: whether Redis loses what it had acknowledged, so that an epoch may end.
    """

    name: str
    group: str
    inject: Callable[[Ground, Random], Thaw | None]
    bound_seconds: float = 30.0
    target_seconds: float | None = None
    weight: float = 1.0
    loses_data: bool = False
    mixes: bool = True

    @property
    def befalls(self) -> str:
        """What it befalls."""
        return self.name.partition(":")[0].lower()
