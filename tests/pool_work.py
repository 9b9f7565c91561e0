"""What the tests of process pool and sandbox run in other processes: one for each way to end."""

from __future__ import annotations

import faulthandler
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from formatter import Pipeline, TransientError, cpu_heavy
from pushgate import Event, Frame


class NeedsTwo(Exception):
    """Can be pickled and not be unpickled: its arguments are not those it was made with."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


class NeedsTwoForNow(TransientError):
    """The same, for an error that passes."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def add(one: int, other: int) -> int:
    """Adds."""
    return one + other


def fail(error: type[Exception], *arguments: str) -> NoReturn:
    """Raises."""
    raise error(*arguments)


def fail_with_a_function() -> NoReturn:
    """Raises what cannot be pickled."""
    raise ValueError(lambda: None)


def compute_for_ever() -> NoReturn:
    """Never returns."""
    while True:
        pass


def crash() -> None:
    """Ends by a segmentation fault."""
    faulthandler._sigsegv()  # type: ignore[attr-defined]


def leave(status: int) -> NoReturn:
    """Ends the process without a word."""
    os._exit(status)


def leave_politely(status: int) -> NoReturn:
    """Ends the process as a script does."""
    sys.exit(status)


def hoard_at_once() -> int:
    """Wants 100 GB."""
    return len(bytearray(100 * 1024**3))


def hoard_bit_by_bit() -> NoReturn:
    """Wants a little more, for ever."""
    hoard: list[list[int]] = []
    while True:
        hoard.append([len(hoard)] * 1000)


def many_bytes(count: int) -> bytes:
    """Returns so many."""
    return bytes(count)


def a_function() -> Callable[[], None]:
    """Returns what cannot be pickled."""
    return lambda: None


def process_id() -> int:
    """Says where it runs."""
    return os.getpid()


def niceness() -> int:
    """Says how nice its process is."""
    return os.nice(0)


def start_another() -> int:
    """Starts a process that lasts, and says which."""
    return subprocess.Popen(["sleep", "600"]).pid


def wait(seconds: float) -> float:
    """Waits."""
    time.sleep(seconds)
    return seconds


def is_gone(process: int) -> bool:
    """Whether it has ended, waited for or not."""
    try:
        facts = Path(f"/proc/{process}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return facts.rpartition(")")[2].split()[0] == "Z"


class WhereItRan(Pipeline):
    """Notes the process of a stage that is not marked."""

    def transform(self, event: Event) -> Event:
        event = super().transform(event)
        return event.with_data({**event.data, "inner": os.getpid()})


class HeavyMixin(Pipeline):
    """Notes the process of a stage that is marked."""

    @cpu_heavy
    def transform(self, event: Event) -> Event:
        """Also says who it is."""
        event = super().transform(event)
        return event.with_data(
            {**event.data, "heavy": os.getpid(), "pipeline": type(self).__name__}
        )


class HeavierMixin(Pipeline):
    """Is marked as well."""

    @cpu_heavy(seconds=20)
    def transform(self, event: Event) -> Event:
        event = super().transform(event)
        return event.with_data({**event.data, "heavier": os.getpid()})


class OuterMixin(Pipeline):
    """Is not marked, and calls a stage that is."""

    def transform(self, event: Event) -> Event:
        event = super().transform(event)
        return event.with_data({**event.data, "outer": os.getpid()})


class HeavyPipeline(OuterMixin, HeavierMixin, HeavyMixin, WhereItRan, Pipeline):
    """One stage in another process, with all that its `super()` leads to."""


class EndlessPipeline(Pipeline):
    """Marked, and never done."""

    @cpu_heavy(seconds=0.2)
    def transform(self, event: Event) -> Event:
        compute_for_ever()


class PoisonPipeline(Pipeline):
    """Does what the event's data says."""

    def transform(self, event: Event) -> Event:
        name: str = event.data["poison"]
        function: Callable[..., Any] = globals()[name]
        function(*event.data["arguments"])
        return event


class WordyPipeline(Pipeline):
    """Says more than anybody wants to hear."""

    def render(self, event: Event, channels: tuple[str, ...]) -> tuple[Frame, ...]:
        return (Frame(channels, b"x" * 100_000_000),)


pipelines = {
    "poison.": PoisonPipeline,
    "words.": WordyPipeline,
    "heavy.": HeavyPipeline,
}
