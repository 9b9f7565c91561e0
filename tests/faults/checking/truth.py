"""What really happened: the rows that the database committed, in their order, and whose writes
they are."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from math import inf

from loadtest.record import Answer, number_in
from tests.faults.evidence import CommittedEvent, Evidence, Write

DELETED = "comment.deleted"


def comment_of(event: CommittedEvent) -> int:
    """Return the comment's id that an event is about."""
    return int(event.data["id"])


class Truth:
    """The committed events by id, by channel and by write.

    Attributes:
        by_id: event id -> event.
        channels: each channel's events; a place in one of these lists is how the checker names an
            event within its channel.
        of_write: a write's number -> the events whose text carries it, deletions left out.
        deletions: comment -> the events of its deletion.
        deleting: comment -> the writes that asked for its deletion.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._ended_at = evidence.ended_at
        self.by_id: dict[str, CommittedEvent] = {}
        self.channels: defaultdict[str, list[CommittedEvent]] = defaultdict(list)
        self.of_write: defaultdict[int, list[CommittedEvent]] = defaultdict(list)
        self.deletions: defaultdict[int, list[CommittedEvent]] = defaultdict(list)
        self.deleting: defaultdict[int, list[Write]] = defaultdict(list)
        self.writes = {write.number: write for write in evidence.writes}
        self.rows = sorted(evidence.committed, key=lambda event: event.row)
        for write in evidence.writes:
            if write.type == DELETED:
                for comment in write.comments:
                    self.deleting[comment].append(write)
        for event in self.rows:
            self._add(event)
        self._begun = {name: self._latest(events) for name, events in self.channels.items()}

    def _add(self, event: CommittedEvent) -> None:
        self.by_id[event.event_id] = event
        for channel in event.channels:
            self.channels[channel].append(event)
        if event.type == DELETED:
            self.deletions[comment_of(event)].append(event)
        elif number := number_in(str(event.data.get("text", ""))):
            self.of_write[number].append(event)

    def begun_at(self, event: CommittedEvent) -> float:
        """Return when the write of an event began, at the earliest; minus infinity when nobody's
        it is."""
        if event.type == DELETED:
            # Its text is that of the write before.
            writes = self.deleting[comment_of(event)]
            possible = [write for write in writes if write.answer is not Answer.REFUSED]
            return min((write.begun_at for write in possible or writes), default=-inf)
        write = self.writes.get(number_in(str(event.data.get("text", ""))))
        return write.begun_at if write else -inf

    def time_of(self, event: CommittedEvent) -> float:
        """Return when an event happened, as nearly as is known; the run's end when nothing is."""
        begun_at = self.begun_at(event)
        return begun_at if begun_at > -inf else self._ended_at

    def first_begun_after(self, channel: str, at: float) -> int:
        """Return the place of the first event of a channel whose write began after a moment."""
        return bisect_right(self._begun.get(channel, ()), at)

    def _latest(self, events: Iterable[CommittedEvent]) -> list[float]:
        # Rows are not in the order in which their writes began. The first that began after a moment
        # is the first up to which the latest beginning is after it, and that only rises.
        found, latest = [], -inf
        for event in events:
            latest = max(latest, self.begun_at(event))
            found.append(latest)
        return found
