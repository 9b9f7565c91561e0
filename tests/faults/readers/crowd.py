"""Many readers in a process of their own, that come, drop and resume as people's browsers do, and
worse; and what each of them got."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TypeVar

from stack.errors import DeadlineMissed, StackError
from stack.process import wait_until
from tests.faults.evidence import Evidence, ReaderHistory

Thing = TypeVar("Thing")

_ANSWER_SECONDS = 120.0
"""A whole run's frames take their time to hand over."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How one reader behaves.

    Attributes:
        restless: leaves at random, some within a frame, some by a reset of the connection, some for
            long.
        slow: reads nothing for seconds at a time.
        through_link: comes by the link that the harness spoils.
        by_query: brings its last id in the address instead of a header.
    """

    name: str
    channels: tuple[str, ...]
    restless: bool
    slow: bool
    through_link: bool
    by_query: bool


@dataclass(frozen=True, slots=True)
class CrowdPlan:
    """Who the crowd is.

    Attributes:
        port: of the gateway, on 127.0.0.1.
        threads: the ids of the threads they read.
        seed: decides who reads what and when everybody leaves.
        slow, through_link: how many are so.
        link_port: where those through the link connect to.
        retry_factor: the gateway's `retry:` is multiplied by this.
        drop_seconds: how long a restless reader stays, on average.
        longest_away_seconds: some of them stay away for up to this long.
        pause_seconds: a slow reader reads nothing for between so long and so long.
        between_pauses_seconds: and then it reads for so long.
        connect_seconds: an answer's head must have come.
        silence_seconds: a stream that brings nothing for this long, not even a ping, is given up.
    """

    port: int
    threads: tuple[int, ...]
    seed: int
    readers: int = 300
    restless_share: float = 0.6
    slow: int = 10
    through_link: int = 0
    link_port: int = 0
    retry_factor: float = 1.0
    drop_seconds: float = 20.0
    longest_away_seconds: float = 20.0
    pause_seconds: tuple[float, float] = (5.0, 12.0)
    between_pauses_seconds: tuple[float, float] = (5.0, 20.0)
    connect_seconds: float = 10.0
    silence_seconds: float = 25.0

    def habits(self) -> list[Habits]:
        """Return the readers; the same ones for the same plan."""
        chosen = random.Random(self.seed)
        found = []
        for number in range(self.readers):
            how_many = min(chosen.choice((1, 1, 1, 1, 1, 2, 3)), len(self.threads))
            threads = chosen.sample(self.threads, how_many)
            is_slow = number < self.slow
            through_link = self.slow <= number < self.slow + self.through_link
            found.append(
                Habits(
                    f"reader {number + 1}" + (", slow" if is_slow else ""),
                    tuple(f"thread:{thread}" for thread in threads),
                    chosen.random() < self.restless_share and not is_slow,
                    is_slow,
                    through_link,
                    chosen.random() < 0.3,
                )
            )
        return found


@dataclass(frozen=True, slots=True)
class CrowdCounts:
    """How the crowd is.

    Attributes:
        open: readers whose stream has said its position.
        frames: delivered so far.
    """

    readers: int
    open: int
    frames: int


@dataclass(frozen=True, slots=True)
class Heard:
    """Asks how many readers have got what was written last.

    Attributes:
        writes: channel -> a write's number, which whoever reads that channel must have.
    """

    writes: dict[str, int]


@dataclass(slots=True)
class CrowdHarvest:
    """All that the crowd got.

    Attributes:
        frames: each different block; the histories name them by their places here.
        per_second: whole second of the monotonic clock -> frames delivered in it.
        open_per_second: the same of open streams.
    """

    frames: list[bytes] = field(default_factory=list)
    readers: list[ReaderHistory] = field(default_factory=list)
    per_second: dict[int, int] = field(default_factory=dict)
    open_per_second: dict[int, int] = field(default_factory=dict)

    def add_to(self, evidence: Evidence) -> None:
        """Put it beside what others got."""
        add_readers(evidence, self.frames, self.readers)
        for second, frames in self.per_second.items():
            evidence.per_second[second] = evidence.per_second.get(second, 0) + frames


def add_readers(evidence: Evidence, frames: list[bytes], readers: list[ReaderHistory]) -> None:
    """Put readers into the evidence whose histories name places in `frames`; they will name places
    in the evidence's own."""
    if evidence.frames:
        known = {block: number for number, block in enumerate(evidence.frames)}
        places = [known.setdefault(block, len(known)) for block in frames]
        evidence.frames = list(known)
        for reader in readers:
            for position, number in enumerate(reader.frames):
                reader.frames[position] = places[number]
    else:
        evidence.frames = list(frames)
    evidence.readers += readers


class Crowd:
    """The crowd's process, as the harness holds it. It ends with the harness, however that ends."""

    def __init__(self, plan: CrowdPlan) -> None:
        # Only here: the process of the crowd imports this module as well.
        from tests.faults.readers.crowd_process import attend

        context = multiprocessing.get_context("spawn")
        self._plan = plan
        self._pipe, self._theirs = context.Pipe()
        self._process = context.Process(
            target=attend, args=(plan, self._theirs), name="crowd", daemon=True
        )

    @property
    def pid(self) -> int:
        """Of the process; 0 before it has started."""
        return self._process.pid or 0

    def start(self) -> None:
        """Have the readers come; `counts` says how many are there."""
        self._process.start()
        # So that a crowd that dies is noticed at this end.
        self._theirs.close()

    def counts(self) -> CrowdCounts:
        """Return how the crowd is now."""
        found = self._ask("counts")
        assert isinstance(found, CrowdCounts)
        return found

    def wait_until_open(self, deadline_seconds: float) -> None:
        """Return when every reader has an open stream.

        Raises:
            DeadlineMissed: some have not.
        """

        def all_open() -> bool:
            counts = self.counts()
            return counts.open == counts.readers

        wait_until(all_open, deadline_seconds, "every reader's stream is open", every_seconds=0.1)

    def wait_until_heard(self, writes: Mapping[str, int], deadline_seconds: float) -> None:
        """Return when every reader has got the frames of some writes, which it then has last.

        Args:
            writes: channel -> the number of the write that was made last in it.

        Raises:
            DeadlineMissed: some reader has not.
        """

        def all_heard() -> bool:
            return self._ask(Heard(dict(writes))) == self._plan.readers

        what = "every reader has heard of what was written last"
        wait_until(all_heard, deadline_seconds, what, every_seconds=0.2)

    def settle(self) -> None:
        """Have nobody leave by himself any more, and those who are away come back."""
        self._ask("settle")

    def stop(self) -> CrowdHarvest:
        """End the crowd and return what it got."""
        harvest = CrowdHarvest()
        self._send("stop")
        harvest.frames = _received(self._pipe, list)
        harvest.readers = [_received(self._pipe, ReaderHistory) for _ in range(self._plan.readers)]
        harvest.per_second = _received(self._pipe, dict)
        harvest.open_per_second = _received(self._pipe, dict)
        self.close()
        return harvest

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._pipe.close()
        if self._process.pid is not None:
            self._process.join(5)
            self._process.kill()
            self._process.join(5)

    def _send(self, what: object) -> None:
        try:
            self._pipe.send(what)
        except OSError:
            raise StackError(
                f"the crowd's process ended, exit code {self._process.exitcode}; "
                "its own words stand above"
            ) from None

    def _ask(self, what: object) -> object:
        self._send(what)
        return _received(self._pipe, object)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _received(pipe: Connection, kind: type[Thing]) -> Thing:
    try:
        if not pipe.poll(_ANSWER_SECONDS):
            raise DeadlineMissed(f"waited {_ANSWER_SECONDS:g} s in vain until the crowd answers")
        found = pipe.recv()
    except (EOFError, OSError):
        raise StackError("the crowd's process ended; its own words stand above") from None
    if not isinstance(found, kind):
        raise StackError(f"the crowd answered {str(found)[:80]!r} instead of a {kind.__name__}")
    return found
