"""Made-up evidence for the tests of the checker: a run in which all goes well, to be spoilt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from loadtest.record import Answer, text_with
from tests.faults.evidence import (
    CommittedEvent,
    EpochMove,
    Evidence,
    Mark,
    ReaderHistory,
    Sign,
    Write,
)

FIRST_EPOCH = "aaaaaaaa"


class Story:
    """Writes, rows and frames as a run makes them, one second apart.

    Attributes:
        evidence: what the checker would be given.
        epoch: of the log, now.
        log: the committed events in the order of the log; a cursor's number is a place in it.
    """

    def __init__(self) -> None:
        self.evidence = Evidence()
        self.epoch = FIRST_EPOCH
        self.log: list[CommittedEvent] = []
        self._now = 1000.0
        self._numbers, self._comments = count(1), count(100)
        self._frames: dict[bytes, int] = {}
        self._placed: dict[tuple[str, int], int] = {}
        self._positions = 0

    def now(self) -> float:
        """Return the clock, which moves on with each look."""
        self._now += 1
        return self._now

    def write(
        self,
        thread: int = 7,
        type: str = "comment.created",
        comments: Sequence[int] = (),
        answer: Answer = Answer.ACCEPTED,
        doomed: bool = False,
        happens: bool = True,
        many: int = 1,
    ) -> list[CommittedEvent]:
        """Write, and return the events of it, which are in the log at once."""
        number = next(self._numbers)
        comments = comments or [next(self._comments) for _ in range(many)]
        asked = tuple(comments) if answer is Answer.ACCEPTED or type != "comment.created" else ()
        write = Write(number, thread, type, self.now(), asked, doomed)
        write.answer, write.answered_at = answer, self.now()
        self.evidence.writes.append(write)
        if not happens:
            return []
        return [self._commit(write, comment) for comment in comments]

    def _commit(self, write: Write, comment: int) -> CommittedEvent:
        row = 3 * len(self.evidence.committed) + 1
        stored = self.evidence.stored
        if write.type == "comment.deleted":
            text = stored.pop(comment)[1]
        else:
            text = text_with(write.number, "Hello")
            stored[comment] = (write.thread, text)
        event = CommittedEvent(
            row,
            f"{row:032x}",
            write.type,
            (f"thread:{write.thread}",),
            f"threads.comment:{comment}",
            {"id": comment, "thread": write.thread, "author": "Ada", "text": text},
        )
        self.evidence.committed.append(event)
        self.log.append(event)
        return event

    def cursor_of(self, event: CommittedEvent) -> str:
        """Return the id an event has in the log now."""
        key = (self.epoch, event.row)
        if key not in self._placed:
            self._positions += 1
            self._placed[key] = 1000 + self._positions
        return f"{self.epoch}.{self._placed[key]}-0"

    def here(self) -> str:
        """Return the cursor of the log's end."""
        for event in self.log:
            self.cursor_of(event)
        return f"{self.epoch}.{1000 + self._positions}-0"

    def block(self, event: CommittedEvent, cursor: str = "", **other: object) -> bytes:
        """Return the frame of an event as it is on the wire."""
        data = {
            "event_id": event.event_id,
            "object": event.object,
            "version": event.row,
            "at": "2026-01-01T00:00:00Z",
            "channels": event.channels,
            **event.data,
            "permalink": "/threads/",
            **other,
        }
        cursor = cursor or self.cursor_of(event)
        return f"id: {cursor}\nevent: {event.type}\ndata: {json.dumps(data)}".encode()

    def reader(self, *threads: int, name: str = "reader 1") -> ReaderHistory:
        """Return a reader that subscribes now."""
        reader = ReaderHistory(name, tuple(f"thread:{thread}" for thread in threads or (7,)))
        self.evidence.readers.append(reader)
        self.mark(reader, Sign.SUBSCRIBED, self.here())
        return reader

    def mark(self, reader: ReaderHistory, sign: Sign, cursor: str = "", reason: str = "") -> None:
        """Note a sign in a reader's history."""
        reader.marks.append(Mark(len(reader.frames), sign, self.now(), cursor, reason))

    def list_anew(self, reader: ReaderHistory) -> None:
        """Have a page read its list."""
        threads = {int(channel.partition(":")[2]) for channel in reader.channels}
        stored = self.evidence.stored.items()
        comments = {comment: text for comment, (thread, text) in stored if thread in threads}
        mark = Mark(len(reader.frames), Sign.LISTED, self.now(), self.here(), "", comments)
        reader.marks.append(mark)

    def deliver(self, reader: ReaderHistory, events: Sequence[CommittedEvent]) -> None:
        """Have a reader get the frames of these events."""
        for event in events:
            self.deliver_block(reader, self.block(event))

    def deliver_block(self, reader: ReaderHistory, block: bytes) -> None:
        """Have a reader get these bytes."""
        if block not in self._frames:
            self._frames[block] = len(self.evidence.frames)
            self.evidence.frames.append(block)
        reader.frames.append(self._frames[block])

    def move_epoch(self, to: str, justified: bool) -> None:
        """Begin another epoch of the log; what was in the log before has ids in it as well."""
        self.here()
        self.evidence.epochs.append(EpochMove(self.now(), self.epoch, to, justified))
        for event in self.log:
            self._placed[to, event.row] = self._placed[self.epoch, event.row]
        self.epoch = to

    def lose_tail(self, events: Sequence[CommittedEvent], to: str) -> None:
        """Lose the log's last events, which are sent again in another epoch."""
        self.move_epoch(to, justified=True)
        for event in events:
            del self._placed[to, event.row]

    def replace_row(self, event: CommittedEvent, **changes: object) -> CommittedEvent:
        """Put another row in the place of one, as if that had been committed."""
        other = replace(event, **changes)  # type: ignore[arg-type]
        self.evidence.committed[self.evidence.committed.index(event)] = other
        return other
