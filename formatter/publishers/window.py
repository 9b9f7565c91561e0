"""What a follower has read of the log and not booked yet: which of it may be sent now, and up to
where everything is done. Knows neither Redis nor the network, and is told the time.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from formatter.publishers.item import Item
from pushgate import Cursor
from pushgate.positions import DeadItem

MOST_SLOTS = 1_000
"""Entries from the oldest that is not done to the newest read: what a crash repeats at the most."""

MOST_BYTES = 16 * 1024 * 1024

BODY_BYTES = 1024 * 1024
"""A sending that holds so much takes no further item."""


class State(Enum):
    """Where a slot is on its way."""

    WAITING = auto()
    TAKEN = auto()
    DONE = auto()


@dataclass(slots=True, eq=False)
class Slot:
    """One entry of the log, one letter to be sent again, or one gap.

    Attributes:
        cursor: where the position is once it is done; None for a letter, which moves nothing.
        place: see `pushgate.positions.Position.place`.
        item: what is sent; None when there is nothing to be sent.
        frame: the entry's bytes, for a dead letter.
        letter_id: of a letter to be sent again.
        counts: what is booked when it is done, besides the outcome.
        outcome: the books' column once it is done.
        reason: why it failed last.
        attempts: how often it was sent.
        failing_since: when it failed first.
        not_before: when it may be sent again.
        alone: it is not sent together with others any more.
    """

    cursor: Cursor | None
    place: int | None
    item: Item | None = None
    frame: bytes = b""
    letter_id: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    state: State = State.WAITING
    outcome: str = ""
    reason: str = ""
    attempts: int = 0
    failing_since: float | None = None
    not_before: float = 0.0
    alone: bool = False

    @property
    def is_gap(self) -> bool:
        """Whether it tells of a gap: nothing overtakes it."""
        return self.item is not None and self.item.is_reset


@dataclass(slots=True)
class Settled:
    """What is done, from the oldest on without a hole.

    Attributes:
        cursor: of the last entry; None when none of the log is among it.
        place: of the last entry.
        counts: column -> change.
        letters: what was given up.
        again: the letters that were sent again, by entry id.
        told: a gap is among it.
    """

    cursor: Cursor | None = None
    place: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    letters: list[DeadItem] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    told: bool = False


class Window:
    """Slots in the order they were read.

    Args:
        in_order: whether an item waits for the earlier ones of its channels.
    """

    def __init__(self, in_order: bool = True) -> None:
        self._slots: deque[Slot] = deque()
        self._in_order = in_order
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def has_room(self) -> bool:
        """Whether more may be read."""
        return len(self._slots) < MOST_SLOTS and self._bytes < MOST_BYTES

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest entry that is not done was appended to the log; None without one."""
        for slot in self._slots:
            if slot.state is not State.DONE and slot.cursor is not None:
                return slot.cursor.ms
        return None

    def add(self, slot: Slot) -> None:
        """Appends a slot."""
        self._slots.append(slot)
        self._bytes += len(slot.frame)

    def skip(self, cursor: Cursor, place: int | None) -> None:
        """Appends an entry that is not to be sent; a run of them is one slot."""
        last = self._slots[-1] if self._slots else None
        if last is None or last.state is not State.DONE or "skipped" not in last.counts:
            last = Slot(cursor, place, counts={"seen": 0, "skipped": 0}, state=State.DONE)
            self._slots.append(last)
        last.cursor, last.place = cursor, place
        last.counts["seen"] += 1
        last.counts["skipped"] += 1

    def take(self, most: int, now: float) -> list[Slot]:
        """Takes the next slots for one sending, at most `most`; none when all must wait.

        An item waits for every earlier one with a channel of its own, unless both are taken here.
        """
        taken: list[Slot] = []
        busy: set[str] = set()
        size = 0
        for slot, is_first in self._unfinished():
            channels = slot.item.channels if slot.item is not None and self._in_order else ()
            waits = slot.state is State.TAKEN or slot.not_before > now
            if slot.is_gap:
                if is_first and not waits:
                    taken.append(slot)
                break
            if waits or not busy.isdisjoint(channels) or (slot.alone and taken):
                busy.update(channels)
                continue
            taken.append(slot)
            size += len(slot.frame)
            if slot.alone or len(taken) == most or size >= BODY_BYTES:
                break
        for slot in taken:
            slot.state = State.TAKEN
            slot.attempts += 1
        return taken

    def put_back(self, slot: Slot, not_before: float) -> None:
        """A slot that was taken waits again, until that time at least."""
        slot.state, slot.not_before = State.WAITING, not_before

    def finish(self, slot: Slot, outcome: str) -> None:
        """A slot is done; its bytes are kept for a dead letter only."""
        slot.state, slot.outcome = State.DONE, outcome
        if outcome != "dead":
            self._bytes -= len(slot.frame)
            slot.item, slot.frame = None, b""

    def next_at(self, now: float) -> float:
        """When the next slot's time will have come; infinity when none waits for its time."""
        times = (slot.not_before for slot, _ in self._unfinished() if slot.not_before > now)
        return min(times, default=float("inf"))

    def failing(self) -> str:
        """Why the oldest slot that fails does; "" when none does."""
        reasons = (s.reason for s, _ in self._unfinished() if s.failing_since is not None)
        return next(reasons, "")

    def settle(self) -> Settled:
        """Drops what is done, up to the first that is not, and says what it was."""
        settled = Settled()
        while self._slots and self._slots[0].state is State.DONE:
            slot = self._slots.popleft()
            settled.counts.update(slot.counts)
            if slot.outcome:
                settled.counts[slot.outcome] += 1
            if slot.letter_id:
                settled.again.append(slot.letter_id)
            if slot.cursor is not None:
                settled.cursor, settled.place = slot.cursor, slot.place
            settled.told = settled.told or "resets" in slot.counts
            if slot.outcome == "dead" and slot.item is not None:
                settled.letters.append(_letter(slot, slot.item))
                self._bytes -= len(slot.frame)
        return settled

    def _unfinished(self) -> Iterator[tuple[Slot, bool]]:
        """What is not done, first to last, and of each whether it is the oldest."""
        first = True
        for slot in self._slots:
            if slot.state is not State.DONE:
                yield slot, first
                first = False


def _letter(slot: Slot, item: Item) -> DeadItem:
    return DeadItem("", item.cursor, item.channels, slot.frame, slot.attempts, slot.reason)
