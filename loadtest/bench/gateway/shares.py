"""What gateway, Redis and clients take of the machine that they share."""

from __future__ import annotations

import time
from dataclasses import dataclass

from loadtest.bench.gateway.audience import Audience
from loadtest.bench.gateway.own_gateway import OwnGateway


@dataclass(frozen=True)
class Shares:
    """What each took of one core during so many seconds.

    Attributes:
        clients: all of them together.
    """

    seconds: float
    gateway: float
    redis: float
    clients: float

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return the rows of a table: what, seen, no target, nothing to be met."""
        return [
            (f"of a core: {name}", f"{share:.0%}", "", "")
            for name, share in (
                ("gateway", self.gateway),
                ("Redis", self.redis),
                ("all clients", self.clients),
            )
        ]


class Watch:
    """Counts from its making on."""

    def __init__(self, own: OwnGateway, audience: Audience) -> None:
        self._own = own
        self._audience = audience
        self._began_at = time.monotonic()
        self._used = self._read()

    def _read(self) -> tuple[float, float, float]:
        own = self._own
        return own.cpu_seconds(), own.redis_cpu_seconds(), self._audience.cpu_seconds()

    def shares(self) -> Shares:
        """Return what was used until now."""
        seconds = time.monotonic() - self._began_at
        gateway, redis, clients = (
            (now - before) / seconds for now, before in zip(self._read(), self._used, strict=True)
        )
        return Shares(seconds, gateway, redis, clients)
