"""What each reader got, compared with what it had to get."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import islice
from operator import lt

from pushgate import Cursor, InvalidCursor
from tests.faults.checking.findings import Findings
from tests.faults.checking.seen_frames import SeenFrames
from tests.faults.checking.sightings import Sightings
from tests.faults.checking.truth import Truth
from tests.faults.evidence import Kind, Mark, ReaderHistory, Sign, Verdict

_BEGINNINGS = (Sign.RESET, Sign.LISTED)


@dataclass(frozen=True, slots=True)
class Period:
    """A part of a reader's history in which no event may be missing.

    Attributes:
        begin, end: the places of its frames in the reader's history.
        at: what is written from then on is due.
        cursor: what has an id behind it in its epoch is due; None when it began without one.
        is_last: it must reach the end of what was committed.
    """

    begin: int
    end: int
    at: float
    cursor: Cursor | None
    is_last: bool


def periods_of(reader: ReaderHistory) -> list[Period]:
    """Cut a reader's history at its resets, and where a page read its list anew."""
    beginnings: list[Mark] = []
    for mark in reader.marks:
        if mark.sign in _BEGINNINGS or (mark.sign is Sign.SUBSCRIBED and not beginnings):
            beginnings.append(mark)
    ends = [mark.after for mark in beginnings[1:]] + [len(reader.frames)]
    found = []
    for number, (mark, end) in enumerate(zip(beginnings, ends, strict=True), start=1):
        is_last = number == len(beginnings)
        # Nothing comes before the first sign; should it, it is looked at with the first period.
        begin = mark.after if number > 1 else 0
        found.append(Period(begin, end, mark.at, cursor_in(mark.cursor), is_last))
    return found


def cursor_in(text: str) -> Cursor | None:
    """Return the cursor that a text is, None when it is none."""
    try:
        return Cursor.parse(text)
    except InvalidCursor:
        return None


class Streams:
    """Looks at one reader after the other."""

    def __init__(
        self,
        truth: Truth,
        frames: SeenFrames,
        sightings: Sightings,
        findings: Findings,
        verdict: Verdict,
    ) -> None:
        self._truth = truth
        self._frames = frames
        self._sightings = sightings
        self._findings = findings
        self._verdict = verdict
        self._told: set[int] = set()

    def check(self, reader: ReaderHistory) -> None:
        """Find what one reader lacks, got twice, out of order, or from elsewhere."""
        self._told = set()
        self._verdict.deliveries += len(reader.frames)
        rows = map(self._frames.rows.__getitem__, reader.frames)
        self._verdict.again += len(reader.frames) - len(set(rows))
        for period in periods_of(reader):
            for channel in reader.channels:
                self._check_run(reader, period, channel)
        self._check_ids(reader)
        self._check_channels(reader)

    def first_due(self, period: Period, channel: str) -> int:
        """Return the place of a channel's first event that had to come in a period."""
        due = self._truth.first_begun_after(channel, period.at)
        if period.cursor:
            behind = self._frames.first_behind(channel, period.cursor)
            due = due if behind is None else min(due, behind)
        return due

    def _check_run(self, reader: ReaderHistory, period: Period, channel: str) -> None:
        place_of = self._frames.places.get(channel, {}).get
        came = map(place_of, reader.frames[period.begin : period.end])
        places = [place for place in came if place is not None]
        due = self.first_due(period, channel)
        end = len(self._truth.channels.get(channel, ())) if period.is_last else 0
        begin = min(due, places[0]) if places else due
        end = max(end, max(places) + 1) if places else end
        self._verdict.due += max(0, end - begin)
        # Nearly always there is nothing to say: one comparison of two lists shows it.
        if places != list(range(begin, end)):
            self._explain(reader, period, channel, begin, end)

    def _explain(
        self, reader: ReaderHistory, period: Period, channel: str, begin: int, end: int
    ) -> None:
        place_of = self._frames.places.get(channel, {}).get
        events = self._truth.channels.get(channel, [])
        expected, seen, missing = begin, set[int](), set[int]()
        for position in range(period.begin, period.end):
            place = place_of(reader.frames[position])
            if place is None:
                continue
            if place in seen:
                self._tell(Kind.TWICE, reader, position, "a second time")
            elif place < expected:
                self._tell(Kind.OUT_OF_ORDER, reader, position, "behind later ones")
            seen.add(place)
            missing.discard(place)
            if place >= expected:
                missing.update(range(expected, place))
                expected = place + 1
        missing.update(range(expected, end))
        self._tell_missing(reader, channel, [events[place].row for place in sorted(missing)])

    def _tell_missing(self, reader: ReaderHistory, channel: str, rows: list[int]) -> None:
        events = self._truth.channels[channel] if rows else []
        for number, row in enumerate(rows):
            if self._findings.is_full(Kind.LOST):
                self._findings.count(Kind.LOST, len(rows) - number)
                return
            event = events[bisect_left(events, row, key=lambda event: event.row)]
            sentence = f"{reader.name} lacks row {row} of {channel}: {event.type} {event.object}"
            self._findings.add(Kind.LOST, self._truth.time_of(event), sentence)

    def _tell(self, kind: Kind, reader: ReaderHistory, position: int, what: str) -> None:
        self._told.add(position)
        frame = self._frames.frames[reader.frames[position]]
        at = self._sightings.time_of(reader, position)
        row = f"row {frame.event.row}" if frame.event else "a stranger"
        self._findings.add(kind, at, f"{reader.name} got {row} as {frame.cursor} {what}")

    def _check_ids(self, reader: ReaderHistory) -> None:
        ranks = list(map(self._frames.ranks.__getitem__, reader.frames))
        if not all(map(lt, ranks, islice(ranks, 1, None))):
            self._explain_ids(reader)
        for mark in self._last_of_each_place(reader):
            if mark.after >= len(reader.frames) or mark.after in self._told:
                continue
            said = cursor_in(mark.cursor)
            came = self._frames.frames[reader.frames[mark.after]].cursor
            if said and came and said.epoch == came.epoch and came <= said:
                what = f"although its stream was at {said}"
                self._tell(Kind.OUT_OF_ORDER, reader, mark.after, what)

    def _last_of_each_place(self, reader: ReaderHistory) -> list[Mark]:
        with_cursor = {mark.after: mark for mark in reader.marks if mark.cursor}
        return list(with_cursor.values())

    def _explain_ids(self, reader: ReaderHistory) -> None:
        last: dict[str, Cursor] = {}
        seen: set[int] = set()
        highest = 0
        for position, index in enumerate(reader.frames):
            cursor = self._frames.frames[index].cursor
            if cursor is None or position in self._told:
                continue
            before = last.get(cursor.epoch)
            if index in seen:
                self._tell(Kind.TWICE, reader, position, "a second time")
            elif before and cursor <= before:
                self._tell(Kind.OUT_OF_ORDER, reader, position, f"after {before}")
            elif self._frames.ranks[index] < highest:
                self._tell(Kind.OUT_OF_ORDER, reader, position, "of an epoch that had ended")
            highest = max(highest, self._frames.ranks[index])
            last[cursor.epoch] = cursor
            seen.add(index)

    def _check_channels(self, reader: ReaderHistory) -> None:
        places = (self._frames.places.get(channel, {}) for channel in reader.channels)
        # Strangers among them are of no channel's order, but may be of the reader's own.
        own = set(reader.channels)
        foreign = {
            index
            for index in set(reader.frames).difference(*places)
            if not own.intersection(self._frames.frames[index].channels)
        }
        if not foreign:
            return
        for position, index in enumerate(reader.frames):
            channels = self._frames.frames[index].channels
            if index in foreign and channels:
                what = f"of {' '.join(channels)}, but reads {' '.join(reader.channels)}"
                self._tell(Kind.WRONG_CHANNEL, reader, position, what)
