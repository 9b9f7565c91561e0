"""From what is read of the log to what is to be sent: which entries a publisher wants, and where it
cannot have them any more. Knows no Redis: it is given readings.
"""

from __future__ import annotations

import logging

from formatter.publishers.item import item_of, reset_of, type_of
from formatter.publishers.publisher import Publisher
from formatter.publishers.window import Slot, State, Window
from pushgate import Cursor, LogEntry
from pushgate.job_queue import FROM_THE_START
from pushgate.positions import READ_AT_ONCE, Position, Reading

logger = logging.getLogger("formatter")


class LogReader:
    """Fills a window from the log.

    The place of an entry, how many the log was ever given up to it, says exactly how many were cut
    off before they could be read.

    Args:
        publisher: says what it wants.
        position: behind which to begin.
        window: to be filled.

    Attributes:
        has_more: the log had more than was read.
    """

    def __init__(self, publisher: Publisher, position: Position, window: Window) -> None:
        self.has_more = False
        self._publisher = publisher
        self._window = window
        self._read_to = position.cursor
        self._place = position.place
        self._letter_id = FROM_THE_START
        if position.untold:
            self._add_gap(position.untold, position.cursor, position.place, 0)

    @property
    def entry_id(self) -> str:
        """The last entry read."""
        return self._read_to.entry_id

    def wants(self) -> tuple[str, int, str]:
        """What to read next: the entry to read after, how many, the letter to read after."""
        return self.entry_id, READ_AT_ONCE if self._window.has_room else 1, self._letter_id

    def add(self, reading: Reading) -> None:
        """Adds what was read; nothing while the window is full."""
        if not self._window.has_room:
            return
        if reading.epoch != self._read_to.epoch:
            self._enter_epoch(reading)
        elif reading.entries:
            self._add_entries(reading)
        else:
            self._add_end(reading)
        for letter in reading.again:
            self._letter_id = letter.entry_id
            item = item_of(letter.frame, letter.channels, letter.cursor)
            counts = {"again": -1}
            self._window.add(Slot(None, None, item, letter.frame, letter.entry_id, counts))

    def _enter_epoch(self, reading: Reading) -> None:
        """The log lost what it had shown: goes on with what it holds behind the position."""
        last = Cursor.of_entry(reading.epoch, reading.last_id)
        cursor = min(Cursor(reading.epoch, self._read_to.ms, self._read_to.seq), last)
        place: int | None = None
        if cursor == last:
            place = reading.added
        elif not reading.first_id or _id(cursor.entry_id) < _id(reading.first_id):
            place = reading.first_place - 1
        self.has_more = True
        self._add_gap("epoch", cursor, place, None)

    def _add_entries(self, reading: Reading) -> None:
        self.has_more = not reading.is_complete
        if _id(reading.first_id) > _id(self.entry_id):
            missed = None if self._place is None else reading.first_place - self._place - 1
            if missed is None or missed > 0:
                before = _just_before(reading.epoch, reading.first_id)
                self._add_gap("history", before, reading.first_place - 1, missed)
        if self._place is None and reading.is_complete:
            self._place = reading.added - len(reading.entries)
        for entry in reading.entries:
            if self._place is not None:
                self._place += 1
            self._read_to = Cursor.of_entry(reading.epoch, entry.entry_id)
            self._add_entry(entry, self._read_to)

    def _add_end(self, reading: Reading) -> None:
        """Nothing lies behind the position; what lay there may have been cut off."""
        self.has_more = False
        if self._place is not None and reading.added > self._place:
            last = Cursor.of_entry(reading.epoch, reading.last_id)
            self._add_gap("history", last, reading.added, reading.added - self._place)
        self._place = reading.added

    def _add_entry(self, entry: LogEntry, cursor: Cursor) -> None:
        publisher = self._publisher
        if entry.is_deletion:
            # It empties histories, and a consumer has what it was sent.
            self._window.skip(cursor, self._place)
            return
        if not publisher.wanted(entry.channels) or not publisher.wants_type(type_of(entry.frame)):
            self._window.skip(cursor, self._place)
            return
        item = item_of(entry.frame, entry.channels, cursor)
        self._window.add(Slot(cursor, self._place, item, entry.frame, counts={"seen": 1}))

    def _add_gap(self, reason: str, cursor: Cursor, place: int | None, missed: int | None) -> None:
        """Goes on behind `cursor`; the consumer is told before anything that follows."""
        self._read_to, self._place = cursor, place
        counts = {"resets": 1}
        if missed:
            counts |= {"seen": missed, "missed": missed}
        told = self._publisher.tells_resets
        item = reset_of(cursor, reason, missed) if told else None
        state = State.WAITING if told else State.DONE
        self._window.add(Slot(cursor, place, item, counts=counts, state=state))
        if reason != "new":
            logger.warning(
                "publisher %s: passes over %s frames that the log holds no more (%s)",
                self._publisher.name,
                "an unknown number of" if missed is None else missed,
                reason,
            )


def _id(entry_id: str) -> tuple[int, int]:
    ms, _, seq = entry_id.partition("-")
    return int(ms), int(seq)


def _just_before(epoch: str, entry_id: str) -> Cursor:
    """The cursor behind which the entry is the first."""
    ms, seq = _id(entry_id)
    return Cursor(epoch, ms, seq - 1) if seq else Cursor(epoch, ms - 1, 10**15 - 1)
