"""Where the publishers stand in the log, and their books.

A publisher is a follower of the log: it holds the lease `publisher:<name>`, reads what lies behind
its position, sends it, and moves its position, its books and its dead letters in one script that
checks the lease. What it sent and had not booked when it died, its successor sends again.

Of each publisher: seen = sent + skipped + missed + dead + again, where `seen` counts the log's
entries that its position has passed.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import redis
from redis.exceptions import ResponseError

from pushgate.connection import LONGEST_BLOCK_SECONDS
from pushgate.cursor import Cursor
from pushgate.errors import PushgateError
from pushgate.job_queue import FROM_THE_START
from pushgate.keys import Keys
from pushgate.leases import Attendance, Lease
from pushgate.log import LogEntry
from pushgate.scripts import Script

DEAD_LETTERS_KEPT = 10_000
"""Of each publisher."""

READ_AT_ONCE = 200
READ_BYTES = 4 * 1024 * 1024
"""Entries end early once they are so much: one reading is never more than this and one frame."""

LETTERS_AT_ONCE = 50


class TurnMoved(PushgateError):
    """The books of a publisher are not where its holder left them: Redis was set back."""


def lease_name(publisher: str) -> str:
    """The name of the lease that a publisher's follower holds."""
    return f"publisher:{publisher}"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a publisher stands.

    Attributes:
        cursor: everything in the log up to here is booked.
        place: how many entries the log had ever been given up to there; None when not known.
        turn: the last one booked.
        untold: why its consumer must be told that something may lie before what comes next; "" when
            there is nothing to tell.
    """

    cursor: Cursor
    place: int | None
    turn: int
    untold: str = ""


@dataclass(frozen=True, slots=True)
class DeadItem:
    """What a publisher gave up.

    Attributes:
        entry_id: names the letter; "" while it is not kept yet.
        cursor: the frame's place in the log.
        channels: who gets the frame.
        frame: its bytes.
        attempts: how often it was sent.
        reason: why it was given up.
    """

    entry_id: str
    cursor: Cursor
    channels: tuple[str, ...]
    frame: bytes
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a follower has to do next, as of one moment.

    Attributes:
        epoch: the log's.
        added: how many entries the log was ever given.
        length: how many it holds.
        first_id: the first of them; "" when there is none.
        last_id: the last id the log gave.
        now_ms: by the clock of Redis.
        entries: those behind the position asked for.
        again: letters to be sent again, behind the one asked for.
        stopped: why the publisher is not to send anything; "" when it is.
    """

    epoch: str
    added: int
    length: int
    first_id: str
    last_id: str
    now_ms: int
    entries: tuple[LogEntry, ...]
    again: tuple[DeadItem, ...]
    stopped: str

    @property
    def first_place(self) -> int:
        """The place of the first entry the log holds, or of the next one when it holds none."""
        return self.added - self.length + 1

    @property
    def is_complete(self) -> bool:
        """Whether nothing lies behind the entries read."""
        return not self.entries or self.entries[-1].entry_id == self.last_id


@dataclass(slots=True)
class Advance:
    """One turn of a follower, to be booked.

    Attributes:
        turn: one more than the last one booked.
        cursor: everything up to here is done.
        place: see `Position.place`.
        counts: column -> change.
        letters: what was given up.
        again: entry ids of the letters that were sent again.
        error: what failed last; "" when nothing does.
        stopped: why the publisher sends nothing from now on; "" when it goes on.
        told: the consumer has been told what was untold.
    """

    turn: int
    cursor: Cursor
    place: int | None
    counts: Mapping[str, int] = field(default_factory=dict)
    letters: Sequence[DeadItem] = ()
    again: Sequence[str] = ()
    error: str = ""
    stopped: str = ""
    told: bool = False


class Positions:
    """The positions of a namespace's publishers, in Redis.

    Args:
        client: made by `pushgate.connect`.
        keys: the namespace.
    """

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._begin = Script(client, "begin_following")
        self._read = Script(client, "read_following")
        self._advance = Script(client, "advance")

    def begin(self, lease: Lease, name: str) -> Position:
        """Where the publisher stands; a new one begins at the end of the log.

        Raises:
            LeaseLost: somebody else follows.
        """
        keys = [
            self._keys.lease(lease.name),
            self._keys.publishers,
            self._keys.publisher(name),
            self._keys.epoch,
            self._keys.log,
            self._keys.ledger,
        ]
        try:
            cursor, place, turn, untold = self._begin(
                keys, [lease.holder, name, secrets.token_hex(4)]
            )
        except ResponseError as error:
            _raise_for(lease, error)
        return Position(
            Cursor.parse(cursor.decode()), int(place) if place else None, int(turn), untold.decode()
        )

    def read(
        self, name: str, entry_id: str, count: int = READ_AT_ONCE, letter_id: str = FROM_THE_START
    ) -> Reading:
        """What lies behind a log entry and behind a letter to be sent again.

        Args:
            name: the publisher's.
            entry_id: of the log.
            count: at most so many entries.
            letter_id: of the letters to be sent again.
        """
        keys = [
            self._keys.epoch,
            self._keys.log,
            self._keys.publisher(name),
            self._keys.again(name),
        ]
        epoch, added, length, first_id, last_id, now_ms, entries, again, stopped = self._read(
            keys,
            [secrets.token_hex(4), entry_id, count, READ_BYTES, letter_id, LETTERS_AT_ONCE],
        )
        return Reading(
            epoch=epoch.decode(),
            added=added,
            length=length,
            first_id=first_id.decode(),
            last_id=last_id.decode(),
            now_ms=now_ms,
            entries=tuple(_entry_of(found, pairs) for found, pairs in entries),
            again=tuple(item_of(found, _fields(pairs)) for found, pairs in again),
            stopped=stopped.decode(),
        )

    def wait(self, entry_id: str, seconds: float) -> bool:
        """Waits until the log has an entry behind this one; False when none came in time."""
        streams: dict[Any, Any] = {self._keys.log: entry_id}
        block = max(1, int(min(seconds, LONGEST_BLOCK_SECONDS) * 1000))
        return bool(self._client.xread(streams, count=1, block=block))

    def advance(self, lease: Lease, name: str, turn: Advance) -> bool:
        """Books a turn in one step; False when it was booked before.

        Raises:
            LeaseLost: somebody else follows; nothing was booked.
            TurnMoved: the books are not where this follower left them; nothing was booked.
        """
        keys = [
            self._keys.lease(lease.name),
            self._keys.publishers,
            self._keys.publisher(name),
            self._keys.dead_of(name),
            self._keys.again(name),
            self._keys.ledger,
        ]
        arguments: list[str | bytes | int] = [
            *(lease.holder, name, turn.turn, str(turn.cursor)),
            "" if turn.place is None else turn.place,
            *(turn.error, turn.stopped, int(turn.told), DEAD_LETTERS_KEPT),
        ]
        counts = {column: change for column, change in turn.counts.items() if change}
        arguments.append(len(counts))
        for column, change in counts.items():
            arguments += (column, change)
        arguments.append(len(turn.again))
        arguments += turn.again
        for letter in turn.letters:
            arguments += (str(letter.cursor), " ".join(letter.channels), letter.frame)
            arguments += (letter.attempts, letter.reason)
        try:
            return bool(self._advance(keys, arguments))
        except ResponseError as error:
            _raise_for(lease, error)

    def attendance(self, owner: str) -> Attendance:
        """The place of a formatter process among those that live, as `LeaseStore.attend` says it of
        itself. It only looks: a process that has left must not be taken for one that lives.
        """
        found: Any = self._client.zrange(self._keys.workers, 0, -1)
        others = {name.decode() for name in found} - {owner}
        return Attendance(sum(name < owner for name in others), len(others) + 1)


def item_of(entry_id: bytes, fields: dict[bytes, bytes]) -> DeadItem:
    """An entry of a publisher's stream of dead letters, or of those to be sent again."""
    return DeadItem(
        entry_id=entry_id.decode(),
        cursor=Cursor.parse(fields[b"cursor"].decode()),
        channels=tuple(fields[b"channels"].decode().split()),
        frame=fields[b"frame"],
        attempts=int(fields[b"attempts"]),
        reason=fields[b"reason"].decode("utf-8", "replace"),
    )


def _entry_of(entry_id: bytes, pairs: list[bytes]) -> LogEntry:
    fields = _fields(pairs)
    return LogEntry(
        entry_id.decode(), tuple(fields[b"channels"].decode().split()), fields[b"frame"]
    )


def _fields(pairs: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _raise_for(lease: Lease, error: ResponseError) -> NoReturn:
    code, _, found = str(error).partition(" ")
    if code == "LEASE":
        raise lease.lost() from None
    if code == "TURN":
        raise TurnMoved(f"{lease.name}: its last turn booked is {found}: begin anew") from None
    raise error
