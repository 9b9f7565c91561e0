"""The frames that came, each different one once: what each says, and whether it may say that."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from math import inf
from typing import Any

from loadtest.eventsource import EventSourceError, EventSourceParser
from pushgate import Cursor, InvalidCursor
from tests.faults.checking.findings import Findings
from tests.faults.checking.sightings import Sightings
from tests.faults.checking.truth import Truth
from tests.faults.evidence import CommittedEvent, Evidence, Kind

_TOLD = ("id", "thread", "author", "text")
"""What of a row's data a frame must repeat; the rest is the formatter's to shape."""


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """A frame as a client of the standard reads it.

    Attributes:
        cursor: its id; None when that is none.
        type: of the event; empty when the block is no event.
        data: its data line decoded; empty when it is no object.
        event: the row it tells of; None when there is none that says the same.
    """

    cursor: Cursor | None
    type: str
    data: dict[str, Any]
    event: CommittedEvent | None

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels it belongs to: those of its row, or those that a stranger names."""
        if self.event:
            return self.event.channels
        named = self.data.get("channels")
        return tuple(str(name) for name in named) if isinstance(named, list) else ()


class SeenFrames:
    """All frames of the run, by their place in `Evidence.frames`.

    Attributes:
        frames: in that order.
        rows: of the event of each one; -1 of a stranger.
        places: channel -> frame -> place of its event in the channel's order.
        ranks: where each frame's id stands among all ids, the epochs in the order they followed
            each other; 0 without an id.
        begun: when the write of each one's event began; minus infinity when that is not known.
    """

    def __init__(self, evidence: Evidence, truth: Truth) -> None:
        self._truth = truth
        self.frames = [_read(block, truth) for block in evidence.frames]
        self.begun = [truth.begun_at(frame.event) if frame.event else -inf for frame in self.frames]
        self.rows = [frame.event.row if frame.event else -1 for frame in self.frames]
        self.places = self._places()
        self.ranks = self._ranks(evidence)
        self._orders: dict[tuple[str, str], tuple[list[int], list[tuple[int, int]]]] = {}

    def _places(self) -> dict[str, dict[int, int]]:
        place_of = {
            channel: {event.row: place for place, event in enumerate(events)}
            for channel, events in self._truth.channels.items()
        }
        places: dict[str, dict[int, int]] = {channel: {} for channel in place_of}
        for index, frame in enumerate(self.frames):
            if frame.event:
                for channel in frame.event.channels:
                    places[channel][index] = place_of[channel][frame.event.row]
        return places

    def _ranks(self, evidence: Evidence) -> list[int]:
        epochs: dict[str, int] = {}
        for move in evidence.epochs:
            epochs.setdefault(move.old, len(epochs))
            epochs.setdefault(move.new, len(epochs))
        for frame in self.frames:
            if frame.cursor:
                epochs.setdefault(frame.cursor.epoch, len(epochs))
        keys = [
            (epochs[frame.cursor.epoch], frame.cursor.ms, frame.cursor.seq)
            if frame.cursor
            else (-1, 0, 0)
            for frame in self.frames
        ]
        rank_of = {key: rank for rank, key in enumerate(sorted({(-1, 0, 0), *keys}))}
        return [rank_of[key] for key in keys]

    def first_behind(self, channel: str, cursor: Cursor) -> int | None:
        """Return the place of the channel's first event that has an id behind a cursor, in the same
        epoch; None when there is none."""
        key = (channel, cursor.epoch)
        if key not in self._orders:
            self._orders[key] = self._order(*key)
        places, latest = self._orders[key]
        found = bisect_right(latest, (cursor.ms, cursor.seq))
        return places[found] if found < len(places) else None

    def _order(self, channel: str, epoch: str) -> tuple[list[int], list[tuple[int, int]]]:
        ids = sorted(
            (place, (cursor.ms, cursor.seq))
            for index, place in self.places.get(channel, {}).items()
            if (cursor := self.frames[index].cursor) and cursor.epoch == epoch
        )
        latest: list[tuple[int, int]] = []
        for _, position in ids:
            latest.append(max(latest[-1], position) if latest else position)
        return [place for place, _ in ids], latest

    def check(self, evidence: Evidence, findings: Findings, sightings: Sightings) -> None:
        """Find strangers, ids with several frames, and events with several ids in one epoch."""
        strange = [index for index, frame in enumerate(self.frames) if self._is_strange(frame)]
        other, twice = self._other_bytes(evidence), self._twice()
        first = sightings.first_of({*strange, *other, *twice})
        for index in strange:
            who, at = first[index]
            block = evidence.frames[index][:200].decode("utf-8", "replace")
            findings.add(Kind.STRANGER, at, f"{who} got what no row says: {block!r}")
        for index in other:
            who, at = first[index]
            cursor = self.frames[index].cursor
            findings.add(Kind.OTHER_BYTES, at, f"{who} got another frame than others as {cursor}")
        for index, before in twice.items():
            who, at = first[index]
            frame, event = self.frames[index], self.frames[index].event
            row = event.row if event else 0
            ids = f"{self.frames[before].cursor} and {frame.cursor}"
            findings.add(Kind.TWICE, at, f"row {row} went out as {ids}; {who} got the latter")

    def _is_strange(self, frame: SeenFrame) -> bool:
        return frame.event is None or frame.cursor is None

    def _other_bytes(self, evidence: Evidence) -> list[int]:
        first: dict[Cursor, int] = {}
        return [
            index
            for index, frame in enumerate(self.frames)
            if frame.cursor and first.setdefault(frame.cursor, index) != index
        ]

    def _twice(self) -> dict[int, int]:
        """Return the later frames of an event that has two ids in one epoch, and the first."""
        by_event: defaultdict[tuple[int, str], dict[Cursor, int]] = defaultdict(dict)
        for index, frame in enumerate(self.frames):
            if frame.event and frame.cursor:
                ids = by_event[frame.event.row, frame.cursor.epoch]
                ids.setdefault(frame.cursor, index)
        found = {}
        for ids in by_event.values():
            if len(ids) > 1:
                first, *others = (ids[cursor] for cursor in sorted(ids))
                found.update(dict.fromkeys(others, first))
        return found


def _read(block: bytes, truth: Truth) -> SeenFrame:
    try:
        events = EventSourceParser().feed(block + b"\n\n")
        (received,) = events
        data = json.loads(received.data)
    except (EventSourceError, ValueError):
        return SeenFrame(None, "", {}, None)
    try:
        cursor = Cursor.parse(received.id)
    except InvalidCursor:
        cursor = None
    if not isinstance(data, dict):
        data = {}
    return SeenFrame(cursor, received.type, data, _row_of(received.type, data, truth))


def _row_of(event_type: str, data: dict[str, Any], truth: Truth) -> CommittedEvent | None:
    event = truth.by_id.get(str(data.get("event_id")))
    says_the_same = (
        event is not None
        and event.type == event_type
        and event.row == data.get("version")
        and event.object == data.get("object")
        and all(event.data.get(name) == data.get(name) for name in _TOLD)
    )
    return event if says_the_same else None
