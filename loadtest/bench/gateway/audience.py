"""Thousands of subscribers in several processes, and their parent's view of them."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

from loadtest.bench.gateway.cuts import Cuts
from loadtest.bench.gateway.findings import Findings
from loadtest.bench.gateway.subscriber import Share
from loadtest.bench.gateway.subscribers import attend
from loadtest.bench.spent import family_cpu_seconds, pin
from loadtest.errors import LoadTestError

OF_A_GATEWAY = b"\nid: "
"""How what a gateway sends begins: with the line `retry:` and this one."""
OF_ANY_SERVER = b"\r\n\r\n"
"""The end of an answer's head."""

_SPARE_DESCRIPTORS = 100
_BEGIN_SECONDS = 60
_END_SECONDS = 10


class DeadlineMissed(LoadTestError):
    """What was awaited did not come in time."""


@dataclass(frozen=True)
class Part:
    """One process of an audience."""

    process: BaseProcess
    pipe: Connection
    targets: Counter[str]


class Audience:
    """Subscribers of one server; gone at the end.

    Args:
        port: the server's, on 127.0.0.1.
        targets: the request target of each.
        begins_with: what must have come for a subscription to have begun.
        processes: so many at the least, more when one may not have descriptors for its share.
        core: the one they are kept on; None leaves them where they like.
        begins: whether they connect at once; else when told to.
        cuts: how their connections are cut, from `begin_cuts()` on.
        how: `follows` and `timed` of `Share`.
    """

    def __init__(
        self,
        port: int,
        targets: Sequence[str],
        begins_with: bytes = OF_A_GATEWAY,
        *,
        processes: int = 2,
        core: int | None = None,
        begins: bool = True,
        cuts: Cuts | None = None,
        **how: bool,
    ) -> None:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE_DESCRIPTORS
        count = min(len(targets), max(processes, ceil(len(targets) / most)))
        context = multiprocessing.get_context("spawn")
        self.size = len(targets)
        self.parts: list[Part] = []
        self._newest: Any = context.RawValue("L", 0)
        self._questions = 0
        for place in range(count):
            mine = tuple(targets[place::count])
            share = Share(port, f"127.0.0.{place + 2}", mine, begins_with, cuts=cuts, **how)
            ours, theirs = context.Pipe()
            process = context.Process(
                target=attend, args=(share, theirs, self._newest), daemon=True
            )
            process.start()
            theirs.close()
            if core is not None:
                assert process.pid is not None, "it has been started"
                pin(process.pid, core)
            self.parts.append(Part(process, ours, Counter(mine)))
        if begins:
            self.begin()

    def __enter__(self) -> Audience:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for part in self.parts:
            part.pipe.close()
        for part in self.parts:
            part.process.join(_END_SECONDS)
            if part.process.is_alive():
                part.process.kill()
                part.process.join()

    @property
    def pids(self) -> list[int]:
        """Of the processes."""
        return [part.process.pid for part in self.parts if part.process.pid is not None]

    def cpu_seconds(self) -> float:
        """Return what the processes have used until now."""
        return sum(family_cpu_seconds(pid) for pid in self.pids)

    def begin(self) -> None:
        """Let them connect; return when all processes are about to."""
        self._ask("begin", [0] * len(self.parts), _BEGIN_SECONDS)

    def begin_cuts(self) -> None:
        """From now on, let connections be cut."""
        self._ask("cut", [1] * len(self.parts), _BEGIN_SECONDS)

    def end_cuts(self) -> None:
        """Let no more connections be cut; those who are away come back."""
        self._ask("cut", [0] * len(self.parts), _BEGIN_SECONDS)

    def note_sent(self, number: int) -> None:
        """Note that the log has the frame of this number: who resumes has missed it, or has it."""
        self._newest.value = number

    def sleep(self) -> None:
        """From now on, let a few bytes wake nobody: as if the clients were on other machines."""
        self._ask("sleep", [0] * len(self.parts), _BEGIN_SECONDS)

    def wait_until_open(self, deadline_seconds: float = 60) -> None:
        """Return when all subscriptions stand."""
        self._ask("open", [part.targets.total() for part in self.parts], deadline_seconds)

    def wait_for_drops(self, drops: int, deadline_seconds: float = 30) -> None:
        """Return when each subscriber's stream has ended so many times."""
        self._ask("drops", [drops] * len(self.parts), deadline_seconds)

    def wait_for_frames(self, sent: Mapping[str, int], deadline_seconds: float = 60) -> None:
        """Return when all have what was sent: so many frames for each subscriber of a target."""
        amounts = [
            sum(count * sent.get(target, 0) for target, count in part.targets.items())
            for part in self.parts
        ]
        self._ask("frames", amounts, deadline_seconds)

    def have_all(self, number: int, deadline_seconds: float = 60) -> bool:
        """Return, soon or at the deadline, whether everyone has had the frame of this number."""
        try:
            self._ask("newest", [number] * len(self.parts), deadline_seconds)
        except DeadlineMissed:
            return False
        return True

    def findings(self, newest: int = 0) -> Findings:
        """Return what all have seen until now.

        Args:
            newest: the number of the last frame that all should have had.
        """
        found = Findings()
        for one in self._ask("findings", [newest] * len(self.parts), 60):
            found.add(one)
        return found

    def _ask(self, what: str, amounts: Sequence[int], deadline_seconds: float) -> list[Any]:
        until = time.monotonic() + deadline_seconds
        self._questions += 1
        for part, amount in zip(self.parts, amounts, strict=True):
            try:
                part.pipe.send((self._questions, what, amount))
            except BrokenPipeError:
                raise _ended(part, what) from None
        return [
            self._answer(part, f"{amount} {what}", until, deadline_seconds)
            for part, amount in zip(self.parts, amounts, strict=True)
        ]

    def _answer(self, part: Part, wanted: str, until: float, deadline_seconds: float) -> Any:
        """Return a part's answer to the last question; those to earlier ones may still come."""
        while part.pipe.poll(max(0.0, until - time.monotonic())):
            try:
                number, answer = part.pipe.recv()
            except EOFError:
                raise _ended(part, wanted) from None
            if number == self._questions:
                return answer
        raise DeadlineMissed(f"subscribers: waited {deadline_seconds:g} s in vain for {wanted}")


def _ended(part: Part, wanted: str) -> LoadTestError:
    part.process.join(_END_SECONDS)
    return LoadTestError(
        f"subscribers: a process of them ended with status {part.process.exitcode} while {wanted} "
        "were awaited; look at what it said"
    )
