"""What a run leaves for the checker: what was asked of the site, what its database has, and what
each reader got. Nothing here believes Pushgate.

Times are those of the monotonic clock, which no fault moves.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Any

from loadtest.record import Answer


@dataclass(slots=True, eq=False)
class Write:
    """One request that writes.

    Attributes:
        number: unlike any other's; each text it writes carries it (`loadtest.record.text_with`).
        type: of its events: `comment.created`, `comment.updated` or `comment.deleted`.
        comments: the ids it names or was answered; several for a bulk write, which happens whole or
            not at all.
        begun_at: before the request was sent.
        doomed: the site must refuse it, after it had begun to write: nothing of it may be seen.
        many: how many comments a bulk write is to create; 0 for any other.
    """

    number: int
    thread: int
    type: str
    begun_at: float
    comments: tuple[int, ...] = ()
    doomed: bool = False
    answered_at: float = inf
    answer: Answer = Answer.NONE
    many: int = 0


@dataclass(frozen=True, slots=True)
class CommittedEvent:
    """A row of the outbox as a trigger in the database copied it, within the transaction.

    Attributes:
        row: its id: the event's version, and its place in the order.
        data: what the hook told.
    """

    row: int
    event_id: str
    type: str
    channels: tuple[str, ...]
    object: str
    data: Mapping[str, Any]


class Sign(Enum):
    """What a stream brought beside frames."""

    SUBSCRIBED = "subscribed"
    """The stream began and said its position."""
    RESET = "reset"
    ERROR = "error"
    """`event: error`: refused, come again."""
    ENDED = "ended"
    """The stream ended or broke, or the reader left it."""
    LISTED = "listed"
    """A page read its list anew, after the cursor that it connects with."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A sign in a reader's history.

    Attributes:
        after: so many frames had come before.
        cursor: the stream's id at this moment: of the prologue, the reset, or the page.
        reason: of a reset or an error.
        comments: LISTED only: id -> text.
    """

    after: int
    sign: Sign
    at: float
    cursor: str = ""
    reason: str = ""
    comments: Mapping[int, str] | None = None


@dataclass(slots=True, eq=False)
class ReaderHistory:
    """All that one reader got, in order, over all its connections.

    Attributes:
        name: `reader 17`, `page 3`.
        channels: what it subscribed to.
        frames: places in `Evidence.frames`.
        times: when each came; empty for those that do not note it.
        marks: the signs in between.
    """

    name: str
    channels: tuple[str, ...]
    frames: array[int] = field(default_factory=lambda: array("L"))
    times: array[float] = field(default_factory=lambda: array("d"))
    marks: list[Mark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EpochMove:
    """The log's epoch changed while we looked on.

    Attributes:
        justified: the log really lacks an entry that it had shown under the old epoch.
    """

    at: float
    old: str
    new: str
    justified: bool


@dataclass(slots=True)
class Evidence:
    """Everything the checker looks at.

    Attributes:
        frames: each different block that came, once: its bytes as on the wire, from `id:` to the
            last `data:` line, without the blank line.
        stored: the comments in the database at the end: id -> (thread, text).
        log: (channel, epoch) -> of each of the log's entries its id (two numbers) and when the
            harness had read it from Redis itself, in order.
        per_second: whole second of the monotonic clock -> frames delivered in it, over all readers.
        ended_at: when the writing had ended and all was waited for.
    """

    writes: list[Write] = field(default_factory=list)
    committed: list[CommittedEvent] = field(default_factory=list)
    stored: dict[int, tuple[int, str]] = field(default_factory=dict)
    frames: list[bytes] = field(default_factory=list)
    readers: list[ReaderHistory] = field(default_factory=list)
    epochs: list[EpochMove] = field(default_factory=list)
    log: dict[tuple[str, str], list[tuple[int, int, float]]] = field(default_factory=dict)
    per_second: dict[int, int] = field(default_factory=dict)
    ended_at: float = inf


class Kind(Enum):
    """What can be wrong."""

    LOST = "lost"
    """A reader lacks an event between two that it has, or one that was due, and was not told."""
    TWICE = "twice"
    """An event came a second time to a reader that was told of no reset in between."""
    OUT_OF_ORDER = "out of order"
    """An event, an object's version or a frame's id came after one that it belongs before."""
    FALSE_RESET = "false resets"
    """A reset although the log lost nothing and the history reached back."""
    STRANGER = "strangers"
    """A frame that tells what the database never committed, or what was refused or rolled back."""
    OTHER_BYTES = "other bytes"
    """One cursor, two frames."""
    WRONG_CHANNEL = "wrong channel"
    """A frame of a channel that the reader did not subscribe to."""
    WRONG_LIST = "wrong lists"
    """A page's list at the end is not the database's."""
    UNTOLD = "untold"
    """The database has a change without an event, or an event without its change."""
    UNBALANCED = "unbalanced"
    """The ledger does not balance after the run."""
    CRASHED = "crashes"
    """A part ended by a signal that nobody had sent."""
    NOT_BACK = "not back"
    """After a fault, the system did not work again within the bound."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong.

    Attributes:
        at: when, as nearly as is known.
        sentence: who, which event, what.
    """

    kind: Kind
    at: float
    sentence: str


@dataclass(slots=True)
class Verdict:
    """What the checker found.

    Attributes:
        deliveries: frames that readers got, all of them looked at.
        due: frames that had to come, over all readers.
        again: deliveries of rows that the reader had had before a reset: sent again after a loss.
        resets: resets that were justified.
        ambiguous: writes that were never answered.
        unlisted: how many more of a kind there were than `findings` has room for.
    """

    deliveries: int = 0
    due: int = 0
    again: int = 0
    resets: int = 0
    ambiguous: int = 0
    findings: list[Finding] = field(default_factory=list)
    unlisted: Counter[Kind] = field(default_factory=Counter)

    def count(self, kind: Kind) -> int:
        """Return how many of a kind were found."""
        return self.unlisted[kind] + sum(finding.kind is kind for finding in self.findings)
