"""When everything works again after a fault: comments written since have gone all the way."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from tests.faults.load import Load

_EVERY_SECONDS = 0.01


class Watching(Protocol):
    """The pages that look on."""

    def arrival(self, thread: int, number: int) -> float | None:
        """Return when a write's frame had come to all pages of its thread; None before that."""
        ...


def wait_until_recovered(
    load: Load, pages: Watching, since: float, deadline_seconds: float, over: threading.Event
) -> float | None:
    """Return the moment at which, of each thread, a write begun after `since` had come everywhere.

    A channel's events come in order: with it, all that was waiting has come as well.

    Returns:
        None when it did not happen within the deadline, or the run was over before.
    """
    give_up_at = time.monotonic() + deadline_seconds
    waiting = set(load.threads)
    recovered_at = since
    while waiting:
        for thread in tuple(waiting):
            arrivals = [
                arrival
                for write in load.begun_since(thread, since)
                if (arrival := pages.arrival(thread, write.number)) is not None
            ]
            if arrivals:
                recovered_at = max(recovered_at, min(arrivals))
                waiting.discard(thread)
        if waiting:
            if time.monotonic() > give_up_at:
                return None
            over.wait(_EVERY_SECONDS)
            if over.is_set():
                return None
    return recovered_at
