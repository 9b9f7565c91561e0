"""The books: every change of an event's state is +1 here and -1 there, in the same Redis script
that makes the change. They balance when

    accepted = published + suppressed + dead + expired + queued

What else must hold, against what is counted by others, is `pushgate.accounts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import redis

from pushgate.keys import Keys

_RELAYED, _GONE = "relayed:", "gone:"


@dataclass(frozen=True, slots=True)
class Ledger:
    """How many events are in each state, where they came from, and what became of them.

    Attributes:
        relayed: rows of outboxes put on the queue.
        put: put on the queue without an outbox.
        straight: published straight into the log.
        published: their frames are in the log.
        suppressed: a pipeline dropped them on purpose.
        dead: given up, kept with the reason.
        expired: too old to be worth a frame.
        queued: waiting, or being worked on.
        frames: what the log was given of them all, tombstones too.
        deletions: entries of the log that tell of a channel's deletion.
        lost: entries that the log lost and a new epoch told of.
        discarded: of the dead, those whose letter an operator has deleted.
        trimmed: of the dead, those whose letter went because there were too many.
        refused: writes refused because the lease was somebody else's by then. They changed no
            event's state, so they are no part of the balance: each is a process that slept past
            the end of its lease.
    """

    relayed: int = 0
    put: int = 0
    straight: int = 0
    published: int = 0
    suppressed: int = 0
    dead: int = 0
    expired: int = 0
    queued: int = 0
    frames: int = 0
    deletions: int = 0
    lost: int = 0
    discarded: int = 0
    trimmed: int = 0
    refused: int = 0

    @property
    def accepted(self) -> int:
        """Events put on the queue, or published straight into the log."""
        return self.relayed + self.put + self.straight

    @property
    def difference(self) -> int:
        """How many events were accepted and are in no state (or, below zero, in two)."""
        return self.accepted - (
            self.published + self.suppressed + self.dead + self.expired + self.queued
        )

    @property
    def balances(self) -> bool:
        """Whether every event accepted is in exactly one state."""
        return self.difference == 0


@dataclass(frozen=True, slots=True)
class Source:
    """One outbox, as Redis knows it.

    Attributes:
        mark: the relay's high-water mark; "" when there is none.
        relayed: rows put on the queue, since Redis knows the outbox.
        gone: rows that were relayed before Redis was emptied or set back, and purged since.
    """

    mark: str = ""
    relayed: int = 0
    gone: int = 0


def read_ledger(client: redis.Redis, keys: Keys) -> Ledger:
    """Reads the books of a namespace."""
    found: Any = client.hgetall(keys.ledger)
    return ledger_of(found)


def ledger_of(columns: Mapping[bytes, bytes]) -> Ledger:
    """The books out of the fields of their hash."""
    counts = {name.decode(): int(value) for name, value in columns.items()}
    relayed = sum(count for name, count in counts.items() if name.startswith(_RELAYED))
    names = {field.name for field in fields(Ledger)}
    known = {name: count for name, count in counts.items() if name in names}
    return Ledger(**known | {"relayed": relayed})


def sources_of(columns: Mapping[bytes, bytes], marks: Mapping[bytes, bytes]) -> dict[str, Source]:
    """Every outbox that the books or the marks know, by its name.

    Args:
        columns: of the ledger's hash.
        marks: the relay's.
    """
    counts = {name.decode(): int(value) for name, value in columns.items()}
    named = {source.decode(): mark.decode() for source, mark in marks.items()}
    for name in counts:
        prefix, colon, source = name.partition(":")
        if colon and prefix + colon in (_RELAYED, _GONE):
            named.setdefault(source, "")
    return {
        source: Source(mark, counts.get(_RELAYED + source, 0), counts.get(_GONE + source, 0))
        for source, mark in sorted(named.items())
    }
