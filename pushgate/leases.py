"""Who may act for a partition, or as the relay: one owner at a time, for a limited time, with a
fencing token that only grows. A script that writes checks the token, so that an owner that slept
through the end of its lease cannot write any more. A lease is of one life of Redis: whoever held it
before a restart asks anew, and reads from the start what Redis has now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import redis

from pushgate.errors import LeaseLost
from pushgate.keys import Keys
from pushgate.scripts import Script

LEASE_SECONDS = 3.0
"""Long enough for a pause of the owner, short enough that nobody waits for its successor."""

RENEW_SECONDS = 1.0
"""How often an owner renews: two may fail before the lease runs out."""

RELAY = "relay"
"""The lease of the relay's leader."""

RELAY_LEASE_SECONDS = 2.0
"""One relay works for all, so its successor must not wait long. A leader that pauses for longer
leads again with its next turn, or finds that another one does.
"""

RELAY_RENEW_SECONDS = 0.5
"""How often the leader renews; never more than as long again after that."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as its owner holds it.

    Attributes:
        name: what is leased: a partition's number as text, or `RELAY`.
        owner: who holds it; unique among all processes that ever ran.
        token: above all tokens given out for this name before.
    """

    name: str
    owner: str
    token: int

    @property
    def holder(self) -> str:
        """How it names itself to a script; the lease's key has the life of Redis in it as well."""
        return f"{self.token}:{self.owner}"

    def lost(self) -> LeaseLost:
        """The error for its owner who does not hold it any more."""
        return LeaseLost(
            f"lease {self.name!r}: {self.owner} with token {self.token} does not hold it any more; "
            "acquire it anew"
        )


@dataclass(frozen=True, slots=True)
class Attendance:
    """A formatter process among those that live.

    Attributes:
        rank: its place by name, from 0.
        live: how many live.
    """

    rank: int
    live: int

    def share(self, partitions: int) -> int:
        """How many partitions are this process's: the shares of all sum up to all partitions, and
        no two differ by more than one. When a process comes or goes, no other's share moves
        against it, so partitions go to who comes and from who goes and nowhere else.
        """
        each, left_over = divmod(partitions, self.live)
        return each + (self.rank < left_over)


class LeaseStore(Protocol):
    """Where leases are kept."""

    def acquire(self, name: str, owner: str, seconds: float = LEASE_SECONDS) -> Lease | None:
        """Takes the lease, or returns None when somebody holds it. That one has it for `seconds`
        from now at the most: if it had more, it got it before the clock was put back.
        """
        ...

    def renew(self, lease: Lease, seconds: float = LEASE_SECONDS) -> bool:
        """Holds the lease for `seconds` from now; False when it is no longer the owner's."""
        ...

    def renew_all(self, leases: Sequence[Lease], seconds: float = LEASE_SECONDS) -> list[bool]:
        """Renews leases in one go; False for those that are no longer the owner's."""
        ...

    def release(self, lease: Lease) -> bool:
        """Gives the lease back; False when it was no longer the owner's."""
        ...

    def attend(self, owner: str, seconds: float = LEASE_SECONDS) -> Attendance:
        """Says that a formatter process lives; returns its place among those that were seen within
        `seconds`.
        """
        ...

    def leave(self, owner: str) -> None:
        """Says that a formatter process ends."""
        ...


class Leases:
    """The leases of a namespace, in Redis."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._acquire = Script(client, "acquire")
        self._renew = Script(client, "renew")
        self._release = Script(client, "release")
        self._attend = Script(client, "attend")

    def acquire(self, name: str, owner: str, seconds: float = LEASE_SECONDS) -> Lease | None:
        """See `LeaseStore.acquire`."""
        token = int(
            self._acquire(
                [self._keys.lease(name), self._keys.fence], [name, owner, int(seconds * 1000)]
            )
        )
        return Lease(name, owner, token) if token else None

    def renew(self, lease: Lease, seconds: float = LEASE_SECONDS) -> bool:
        """See `LeaseStore.renew`."""
        return self.renew_all([lease], seconds)[0]

    def renew_all(self, leases: Sequence[Lease], seconds: float = LEASE_SECONDS) -> list[bool]:
        """See `LeaseStore.renew_all`."""
        if not leases:
            return []
        renewed = self._renew(
            [self._keys.lease(lease.name) for lease in leases],
            [int(seconds * 1000), *[lease.holder for lease in leases]],
        )
        return [bool(answer) for answer in renewed]

    def release(self, lease: Lease) -> bool:
        """See `LeaseStore.release`."""
        return bool(self._release([self._keys.lease(lease.name)], [lease.holder]))

    def attend(self, owner: str, seconds: float = LEASE_SECONDS) -> Attendance:
        """See `LeaseStore.attend`. By the clock of Redis, so that no two clocks must agree; who was
        seen before it was put back counts as seen now.
        """
        rank, live = self._attend([self._keys.workers], [owner, int(seconds * 1000)])
        return Attendance(rank, live)

    def leave(self, owner: str) -> None:
        """See `LeaseStore.leave`."""
        self._client.zrem(self._keys.workers, owner)
