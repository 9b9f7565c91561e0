"""What was written and what each reader received, kept side by side until `loadtest.checker` looks.

Nothing here believes Pushgate: a write is what the site's API answered, a frame is what came out of
a socket. Every text written carries its write's number, and that is how a frame is known again.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from math import inf

from loadtest.eventsource import ReceivedEvent
from pushgate import Cursor, InvalidCursor


class Kind(Enum):
    """What a write does; the value is the type of its event."""

    CREATE = "comment.created"
    UPDATE = "comment.updated"
    DELETE = "comment.deleted"


class Answer(Enum):
    """What the API said to a write."""

    NONE = "none"
    """Nothing, or nothing one can trust (time-out, 5xx): it may have happened."""
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(slots=True, eq=False)
class Write:
    """One write of a commenter.

    Attributes:
        number: unlike any other write's of the record.
        comment: the comment's id; 0 while a new one has none.
        begun_at: monotonic clock, before the request was sent.
        answered_at: monotonic clock; infinite while there is no answer.
        answered_time: Unix time of the answer.
    """

    number: int
    thread: int
    kind: Kind
    comment: int
    begun_at: float
    answered_at: float = inf
    answered_time: float = inf
    answer: Answer = Answer.NONE

    def __str__(self) -> str:
        return f"write {self.number} ({self.kind.value} {self.comment}, thread {self.thread})"


@dataclass(frozen=True, slots=True, eq=False)
class SeenEvent:
    """One event as its frame shows it, kept once however many readers got it.

    Attributes:
        cursor: the frame's id as the first reader got it; None when it was no cursor.
        at: Unix time of the commit, as the site says.
        write: what it is about; None when nobody wrote that.
    """

    id: str
    object: str
    version: int
    cursor: Cursor | None
    at: float
    write: Write | None


@dataclass(slots=True, eq=False)
class ThreadRecord:
    """What happened on one thread."""

    thread: int
    writes: list[Write] = field(default_factory=list)
    events: list[SeenEvent] = field(default_factory=list)
    _deletions: dict[int, Write] = field(default_factory=dict)
    _numbers: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def number_of(self, frame: ReceivedEvent) -> int:
        """Return the place in `events` of what a frame shows; a frame never seen gets a new one."""
        # With its id: the same event under a second id is a second event to the readers.
        key = (frame.type, frame.data, frame.id)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.events)
            self.events.append(self._read(frame))
        return number

    def add(self, write: Write) -> None:
        """Note a write before it is sent."""
        self.writes.append(write)
        if write.kind is Kind.DELETE:
            self._deletions[write.comment] = write

    def _read(self, frame: ReceivedEvent) -> SeenEvent:
        try:
            cursor = Cursor.parse(frame.id)
        except InvalidCursor:
            cursor = None
        try:
            data = json.loads(frame.data)
            return SeenEvent(
                id=str(data["event_id"]),
                object=str(data["object"]),
                version=int(data["version"]),
                cursor=cursor,
                at=datetime.fromisoformat(data["at"]).timestamp(),
                write=self._write_of(frame.type, int(data["id"]), str(data["text"])),
            )
        except (ValueError, KeyError, TypeError):
            return SeenEvent("", "", 0, cursor, inf, None)

    def _write_of(self, event_type: str, comment: int, text: str) -> Write | None:
        if event_type == Kind.DELETE.value:
            # Its text is that of the write before.
            return self._deletions.get(comment)
        number = number_in(text)
        # Few: the writes of one thread that are newer than its newest frame.
        for write in reversed(self.writes):
            if write.number == number:
                known = write.comment in (comment, 0)
                return write if known and write.kind.value == event_type else None
        return None


class Journal:
    """What one reader received.

    Attributes:
        thread: the record of the thread it reads.
        subscribed_at: monotonic clock; what is written from then on must reach it. Infinite while
            it has never been told its position.
        frames: places in the thread's `events`, in the order received.
        times: Unix times of receipt.
        replayed: 1 for a frame older than the connection that brought it.
    """

    def __init__(self, thread: ThreadRecord) -> None:
        self.thread = thread
        self.subscribed_at = inf
        self.frames: array[int] = array("L")
        self.times: array[float] = array("d")
        self.replayed: array[int] = array("b")

    def receive(self, frame: ReceivedEvent, connected_time: float) -> SeenEvent:
        """Note a frame.

        Args:
            connected_time: Unix time since which the connection that brought it is open.
        """
        number = self.thread.number_of(frame)
        event = self.thread.events[number]
        self.frames.append(number)
        self.times.append(frame.received_at)
        self.replayed.append(event.at < connected_time)
        return event

    def received_events(self) -> list[SeenEvent]:
        """Return the events in the order received."""
        events = self.thread.events
        return [events[number] for number in self.frames]


class Record:
    """Everything written and everything received in one run.

    Args:
        threads: the ids of the threads it is about.
    """

    def __init__(self, threads: Sequence[int]) -> None:
        self.threads = [ThreadRecord(thread) for thread in threads]
        self.journals: list[Journal] = []
        self.written = 0

    def add_reader(self) -> Journal:
        """Return the journal of one more reader; readers are spread evenly over the threads."""
        journal = Journal(self.threads[len(self.journals) % len(self.threads)])
        self.journals.append(journal)
        return journal

    def begin(self, thread: ThreadRecord, kind: Kind, comment: int, now: float) -> Write:
        """Return a new write, which must be noted before it is sent."""
        self.written += 1
        write = Write(self.written, thread.thread, kind, comment, now)
        thread.add(write)
        return write

    def writes(self, answer: Answer) -> list[Write]:
        """Return the writes that got this answer."""
        return [
            write for thread in self.threads for write in thread.writes if write.answer is answer
        ]


def text_with(number: int, words: str) -> str:
    """Return a comment's text by which the write can be known again."""
    return f"{words} (write {number})"


def number_in(text: str) -> int:
    """Return the number that `text_with` put into a text, 0 when there is none."""
    found = re.search(r"\(write (\d{1,15})\)", text)
    return int(found[1]) if found else 0
