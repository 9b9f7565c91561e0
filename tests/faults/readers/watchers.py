"""All watching pages: two for each thread."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.evidence import Evidence
from tests.faults.readers.pages import WatchingPage

PAGES_OF_A_THREAD = 2
_STOP_SECONDS = 15.0


class Watchers:
    """The pages, by the thread they watch."""

    def __init__(self, site: str, gateway: str, threads: Sequence[int], seed: int) -> None:
        self._pages = {
            thread: [
                WatchingPage(f"page {number} of thread {thread}", site, gateway, thread, seed)
                for number in range(1, PAGES_OF_A_THREAD + 1)
            ]
            for thread in threads
        }

    def start(self) -> None:
        """Open all pages."""
        for page in self._every():
            page.start()

    def stop(self) -> None:
        """Leave all pages."""
        for page in self._every():
            page.stop()
        for page in self._every():
            page.join(_STOP_SECONDS)

    def arrival(self, thread: int, number: int) -> float | None:
        """See `recovery.Watching.arrival`."""
        latest = 0.0
        for page in self._pages[thread]:
            arrived_at = page.arrived_at(number)
            if arrived_at is None:
                return None
            latest = max(latest, arrived_at)
        return latest

    def add_to(self, evidence: Evidence) -> None:
        """Put what they got beside what others got."""
        for page in self._every():
            page.add_to(evidence)

    def _every(self) -> list[WatchingPage]:
        return [page for pages in self._pages.values() for page in pages]
