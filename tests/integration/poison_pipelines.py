"""Pipelines that do harm, each in as many ways as there are: an event's data says how.

`{"number": 1, "poison": "segfault"}` is poison, `{"number": 1}` is healthy. What is poison does its
harm whenever the stage runs, wherever.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

import gevent
from gevent import monkey

from formatter import Pipeline, TransientError, cpu_heavy
from pushgate import Event, Frame
from tests.pool_work import NeedsTwo, compute_for_ever, crash, leave_politely

HUNDRED_MB = 100_000_000


class Unprintable(Exception):
    """Fails again when it is asked what is wrong."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class UnprintableForNow(Unprintable, TransientError):
    """The same, for an error that passes."""


def exception(_: Event) -> NoReturn:
    """The everyday poison."""
    raise ValueError("this comment cannot be shown")


def needs_two_arguments(_: Event) -> NoReturn:
    """Raises what can be pickled and not be unpickled."""
    raise NeedsTwo("this comment", "cannot be shown")


def carries_a_function(_: Event) -> NoReturn:
    """Raises what cannot be pickled."""
    raise ValueError(lambda: None)


def unprintable(_: Event) -> NoReturn:
    """Raises what cannot be logged."""
    raise Unprintable


def unprintable_for_now(_: Event) -> NoReturn:
    """Raises what cannot be logged, time and again."""
    raise UnprintableForNow


def half_a_character(_: Event) -> NoReturn:
    """Raises what cannot be written as UTF-8."""
    raise ValueError("it says \ud83d")


def long_story(_: Event) -> NoReturn:
    """Raises what nobody wants to read to its end."""
    raise ValueError("x" * HUNDRED_MB)


def circle(event: Event) -> Event:
    """Makes data that has no JSON."""
    data: dict[str, Any] = {}
    data["data"] = data
    return event.with_data(data)


def deep(event: Event) -> Event:
    """Makes data nested too deeply."""
    data: list[Any] = []
    for _ in range(100_000):
        data = [data]
    return event.with_data({"data": data})


def recursion(event: Event) -> Event:
    """Calls itself."""
    return recursion(event)


def flood(event: Event) -> Event:
    """Makes one frame of 100 MB."""
    return event.with_data({"html": "x" * HUNDRED_MB})


def flood_of_frames(event: Event) -> Any:
    """Makes many frames, none of them too large."""
    frame = Frame(event.channels, b"event: flood\ndata: " + b"x" * 200_000 + b"\n\n")
    return (frame,) * (HUNDRED_MB // len(frame.data))


def flood_of_large_frames(event: Event) -> Any:
    """Makes fewer, and still none of them too large."""
    frame = Frame(event.channels, b"event: flood\ndata: " + b"x" * 250_000 + b"\n\n")
    return (frame,) * 50


def flood_by_hand(event: Event) -> Any:
    """Makes a frame past the check of its length."""
    return (Frame(event.channels, b"x" * HUNDRED_MB + b"\n\n"),)


def no_frames(_: Event) -> Any:
    """Makes what is no tuple of frames."""
    return [b"<p>hello</p>"]


def text_for_bytes(event: Event) -> Any:
    """Makes a frame of what is no bytes."""
    return (Frame(event.channels, cast(bytes, None)),)


def strange_channel(_: Event) -> Any:
    """Makes a frame for a channel that cannot be."""
    return (Frame(("thread 0\ud83d",), b"data: {}\n\n"),)


def generator(event: Event) -> Any:
    """Makes frames that can be read once."""
    return (Frame(event.channels, b"data: {}\n\n") for _ in range(3))


def nothing(_: Event) -> Any:
    """Forgets to return."""


def leave(_: Event) -> None:
    """Ends the process without a word."""
    os._exit(0)


def killed(_: Event) -> None:
    """What the kernel does to a process when the machine has no memory left."""
    os.kill(os.getpid(), signal.SIGKILL)


def sys_exit(_: Event) -> None:
    """Ends the process as a script does."""
    leave_politely(0)


def keyboard_interrupt(_: Event) -> NoReturn:
    """Raises what Ctrl-C raises."""
    raise KeyboardInterrupt


def greenlet_exit(_: Event) -> NoReturn:
    """Raises what ends a greenlet in silence."""
    raise gevent.GreenletExit


def cancelled(_: Event) -> NoReturn:
    """Raises what asyncio raises."""
    raise asyncio.CancelledError


def timeout(_: Event) -> None:
    """Uses gevent's own timeout, which is no Exception."""
    with gevent.Timeout(0.01):
        gevent.sleep(60)


def endless_loop(_: Event) -> None:
    """Computes."""
    compute_for_ever()


def regular_expression(_: Event) -> None:
    """Computes with the interpreter's lock in its hand."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def patient(_: Event) -> None:
    """Waits for an answer that never comes."""
    time.sleep(3600)


def deaf_wait(_: Event) -> None:
    """Waits where gevent cannot see it."""
    monkey.get_original("time", "sleep")(3600)


def stubborn(_: Event) -> NoReturn:
    """Tries again whatever happens, as careless code does."""
    while True:
        try:
            time.sleep(3600)
        except:  # noqa: E722
            continue


def memory(_: Event) -> None:
    """Wants ever more."""
    hoard: list[bytearray] = []
    while True:
        hoard.append(bytearray(16 * 1024**2))


def segfault(_: Event) -> None:
    """Crashes."""
    crash()


def poison(event: Event) -> Any:
    """Does what the event says; returns what the stage is to return, if anything."""
    function: Callable[[Event], Any] = globals()[event.data["poison"]]
    return function(event)


class PoisonPipeline(Pipeline):
    """Does it in the middle."""

    def transform(self, event: Event) -> Event:
        if "poison" in event.data:
            return cast(Event, poison(event))
        return super().transform(event)


class PoisonFramesPipeline(Pipeline):
    """Does it at the end."""

    def render(self, event: Event, channels: tuple[str, ...]) -> tuple[Frame, ...]:
        if "poison" in event.data:
            return cast(tuple[Frame, ...], poison(event))
        return super().render(event, channels)


class HeavyPoisonPipeline(Pipeline):
    """Does it in the pool."""

    @cpu_heavy(seconds=25.0)
    def transform(self, event: Event) -> Event:
        if "poison" in event.data:
            return cast(Event, poison(event))
        return super().transform(event)


class ImpatientHeavyPipeline(Pipeline):
    """Does it in the pool, in a short time."""

    @cpu_heavy(seconds=1.0)
    def transform(self, event: Event) -> Event:
        if "poison" in event.data:
            return cast(Event, poison(event))
        return event


class GatheringPoisonPipeline(PoisonPipeline):
    """Does it to a group."""

    def gather(self, event: Event) -> float:
        return 0.1

    def collapse(self, events: Sequence[Event]) -> Event:
        for event in events:
            if "poison" in event.data:
                return event
        return events[-1]


class PoisonGatherPipeline(Pipeline):
    """Does it when it is asked whether to wait."""

    deadline_seconds = 0.3

    def gather(self, event: Event) -> float:
        if "poison" in event.data:
            poison(event)
        return 0.0


class PoisonJoinsPipeline(Pipeline):
    """Does it when it is asked who goes together."""

    deadline_seconds = 0.3

    def gather(self, event: Event) -> float:
        return 0.05

    def joins(self, first: Event, event: Event) -> bool:
        for each in (first, event):
            if "poison" in each.data:
                poison(each)
        return True

    def collapse(self, events: Sequence[Event]) -> Event:
        return events[-1]


class PoisonCollapsePipeline(PoisonPipeline):
    """Does it when many are to become one."""

    deadline_seconds = 0.3

    def gather(self, event: Event) -> float:
        return 0.1

    def collapse(self, events: Sequence[Event]) -> Event:
        for event in events:
            if "poison" in event.data:
                return cast(Event, poison(event))
        return events[-1]


class PoisonTombstonePipeline(Pipeline):
    """Fails, and does it to its own tombstone."""

    deadline_seconds = 0.3

    def transform(self, event: Event) -> Event:
        if "poison" in event.data:
            raise ValueError("this comment cannot be shown")
        return super().transform(event)

    def gone(self, event: Event) -> tuple[Frame, ...]:
        return cast(tuple[Frame, ...], poison(event))


class ImpatientPipeline(PoisonPipeline):
    """Gives its events a short time."""

    deadline_seconds = 0.3


pipelines = {
    "stage.": PoisonPipeline,
    "frames.": PoisonFramesPipeline,
    "heavy.": HeavyPoisonPipeline,
    "impatient_heavy.": ImpatientHeavyPipeline,
    "group.": GatheringPoisonPipeline,
    "gather.": PoisonGatherPipeline,
    "joins.": PoisonJoinsPipeline,
    "collapse.": PoisonCollapsePipeline,
    "gone.": PoisonTombstonePipeline,
    "impatient.": ImpatientPipeline,
}
