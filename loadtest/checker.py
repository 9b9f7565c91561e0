"""Compares what was written with what was received: nothing lost, nothing twice, all in order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from math import inf

from loadtest.record import Answer, Journal, Record, SeenEvent, ThreadRecord, Write

EXAMPLES = 10


class Finding(Enum):
    """What can be wrong with what a reader received."""

    GAP = "gaps"
    """A write that was accepted while it read never came."""
    REPEAT = "repeats"
    """A write came twice."""
    OUT_OF_ORDER = "out of order"
    """A frame came after one that it belongs before."""
    STRANGER = "strangers"
    """A frame tells of something that nobody wrote, or that was refused."""


@dataclass
class Verdict:
    """What the checker found.

    Attributes:
        due: frames that had to come, over all readers.
        received: frames that came.
        counts: how many of each finding; a `Counter`, so 0 for what is not in it.
        examples: the first of them as sentences.
    """

    due: int = 0
    received: int = 0
    counts: Counter[Finding] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.counts

    def add(self, finding: Finding, sentence: str) -> None:
        """Count a finding."""
        self.counts[finding] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{finding.value}: {sentence}")


def check(record: Record) -> Verdict:
    """Compare every reader's journal with what was written on its thread."""
    verdict = Verdict()
    happened = {id(thread): _happened(thread) for thread in record.threads}
    for thread in record.threads:
        ids = Counter(event.write for event in thread.events if event.write)
        for write, count in ids.items():
            if count > 1:
                verdict.add(Finding.REPEAT, f"{write} was sent as {count} different frames")
    for number, journal in enumerate(record.journals, start=1):
        _check_journal(verdict, f"reader {number}", journal, happened[id(journal.thread)])
    return verdict


def missing(record: Record) -> int:
    """Return how many frames are still due; cheaper than `check`, to ask now and then."""
    happened = {id(thread): _happened(thread) for thread in record.threads}
    return sum(
        len(_due(journal, happened[id(journal.thread)]) - _received(journal))
        for journal in record.journals
    )


def _happened(thread: ThreadRecord) -> list[Write]:
    """Return what is known to have happened.

    A write without an answer happened if one reader has seen it, and then all must.
    """
    seen = {event.write for event in thread.events}
    return [
        write
        for write in thread.writes
        if write.answer is Answer.ACCEPTED or (write.answer is Answer.NONE and write in seen)
    ]


def _due(journal: Journal, happened: list[Write]) -> set[Write]:
    return {write for write in happened if write.begun_at >= journal.subscribed_at}


def _received(journal: Journal) -> set[Write | None]:
    return {journal.thread.events[number].write for number in set(journal.frames)}


def _check_journal(verdict: Verdict, who: str, journal: Journal, happened: list[Write]) -> None:
    events = journal.received_events()
    order = _Order()
    received: set[Write] = set()
    for event in events:
        write = event.write
        if write is None or write.answer is Answer.REFUSED:
            what = str(write) if write else f"event {event.id or 'without an id'}"
            verdict.add(Finding.STRANGER, f"{who} got {what}, which was not accepted")
        elif write in received:
            verdict.add(Finding.REPEAT, f"{who} got {write} twice")
        else:
            received.add(write)
            fault = order.fault(event, write)
            if fault:
                verdict.add(Finding.OUT_OF_ORDER, f"{who} got {write} {fault}")
    due = _due(journal, happened)
    verdict.due += len(due)
    verdict.received += len(events)
    for write in sorted(due - received, key=lambda write: write.number):
        verdict.add(Finding.GAP, f"{who} never got {write}")


class _Order:
    """What one reader's next frame must come after."""

    def __init__(self) -> None:
        self._last: SeenEvent | None = None
        self._versions: dict[str, int] = {}
        self._latest_begin = -inf

    def fault(self, event: SeenEvent, write: Write) -> str:
        """Return what is wrong with the place of a frame, "" when nothing is."""
        last, self._last = self._last, event
        version = self._versions.get(event.object, -1)
        self._versions[event.object] = max(version, event.version)
        latest_begin, self._latest_begin = (
            self._latest_begin,
            max(self._latest_begin, write.begun_at),
        )
        if event.cursor is None:
            return "without a cursor as its id"
        if (
            last is not None
            and last.cursor is not None
            and last.cursor.epoch == event.cursor.epoch
            and event.cursor <= last.cursor
        ):
            return f"with the id {event.cursor}, after {last.cursor}"
        if event.version <= version:
            return f"as version {event.version} of {event.object}, after {version}"
        if write.answered_at < latest_begin:
            return "after a write that began when this one was answered already"
        return ""
