"""The books: every change of an event's state is +1 here and -1 there, in the same Redis script
that makes the change. They balance when

    accepted = published + suppressed + dead + expired + queued
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import redis

from pushgate.keys import Keys


@dataclass(frozen=True, slots=True)
class Ledger:
    """How many events are in each state.

    Attributes:
        accepted: put on the queue, or published straight into the log.
        published: their frames are in the log.
        suppressed: a pipeline dropped them on purpose.
        dead: given up, kept with the reason.
        expired: too old to be worth a frame.
        queued: waiting, or being worked on.
        refused: writes refused because the lease was somebody else's by then. They changed no
            event's state, so they are no part of the balance: each is a process that slept past
            the end of its lease.
    """

    accepted: int = 0
    published: int = 0
    suppressed: int = 0
    dead: int = 0
    expired: int = 0
    queued: int = 0
    refused: int = 0

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


def read_ledger(client: redis.Redis, keys: Keys) -> Ledger:
    """Reads the books of a namespace."""
    names = [f.name for f in fields(Ledger)]
    values = client.hmget(keys.ledger, names)
    return Ledger(**{name: int(value or 0) for name, value in zip(names, values, strict=True)})
