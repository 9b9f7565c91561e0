"""The twin of the leases that lives in memory; `pushgate.memory` has the rest."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from pushgate.leases import LEASE_SECONDS, Attendance, Lease


class MemoryLeases:
    """See `pushgate.leases.LeaseStore`.

    Args:
        clock: seconds; a test may pass its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: defaultdict[str, int] = defaultdict(int)
        self._held: dict[str, tuple[Lease, float]] = {}
        self._seen: dict[str, float] = {}

    def acquire(self, name: str, owner: str, seconds: float = LEASE_SECONDS) -> Lease | None:
        """See `LeaseStore.acquire`."""
        held = self._held.get(name)
        if held is not None and held[1] > self._clock():
            self._held[name] = (held[0], min(held[1], self._clock() + seconds))
            return None
        self._tokens[name] += 1
        lease = Lease(name, owner, self._tokens[name])
        self._held[name] = (lease, self._clock() + seconds)
        return lease

    def renew(self, lease: Lease, seconds: float = LEASE_SECONDS) -> bool:
        """See `LeaseStore.renew`."""
        if not self.holds(lease):
            return False
        self._held[lease.name] = (lease, self._clock() + seconds)
        return True

    def renew_all(self, leases: Sequence[Lease], seconds: float = LEASE_SECONDS) -> list[bool]:
        """See `LeaseStore.renew_all`."""
        return [self.renew(lease, seconds) for lease in leases]

    def release(self, lease: Lease) -> bool:
        """See `LeaseStore.release`."""
        if not self.holds(lease):
            return False
        del self._held[lease.name]
        return True

    def expire(self, name: str) -> None:
        """Ends a lease now, as time would. Only the twin can."""
        self._held.pop(name, None)

    def attend(self, owner: str, seconds: float = LEASE_SECONDS) -> Attendance:
        """See `LeaseStore.attend`."""
        now = self._clock()
        self._seen[owner] = now
        self._seen = {name: seen for name, seen in self._seen.items() if seen >= now - seconds}
        return Attendance(sorted(self._seen).index(owner), len(self._seen))

    def leave(self, owner: str) -> None:
        """See `LeaseStore.leave`."""
        self._seen.pop(owner, None)

    def holds(self, lease: Lease) -> bool:
        """Whether the lease is still its owner's."""
        held = self._held.get(lease.name)
        return held is not None and held[0] == lease and held[1] > self._clock()
