"""Frames at a steady rate, whatever becomes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import inf

from loadtest.bench.gateway.audience import Audience
from loadtest.bench.gateway.own_gateway import OwnGateway


class Feed:
    """Sends a frame to each of some channels, again and again; a channel's n-th has the number n.

    Attributes:
        sent: so many frames each channel has.
    """

    def __init__(
        self, own: OwnGateway, audience: Audience, channels: Sequence[str], a_second: float
    ) -> None:
        self._own = own
        self._audience = audience
        self._channels = channels
        self._every_seconds = 1 / a_second
        self._stopped = threading.Event()
        self.sent = 0

    def send(self, count: float = inf) -> None:
        """Send so many to each channel, the last one a pause before the end; or until stopped."""
        began_at, first = time.monotonic(), self.sent
        while self.sent < first + count:
            self.send_one()
            next_at = began_at + (self.sent - first) * self._every_seconds
            if self._stopped.wait(max(0.0, next_at - time.monotonic())):
                return

    def send_one(self) -> None:
        """Send one to each channel."""
        number = self.sent + 1
        self._own.send([(channel, number) for channel in self._channels])
        self.sent = number
        self._audience.note_sent(number)

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Send all the while; raises at the end what kept it from sending."""
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(self.send)
            try:
                yield
            finally:
                self._stopped.set()
            sending.result()
