"""All watching pages: two for each thread, one of which comes by the readers' link."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.evidence import Evidence
from tests.faults.readers.pages import WatchingPage

_STOP_SECONDS = 15.0


class Watchers:
    """The pages, by the thread they watch.

    Args:
        gateways: how they reach it: at once, and by the link.
    """

    def __init__(
        self, site: str, gateways: tuple[str, str], threads: Sequence[int], seed: int
    ) -> None:
        self._pages = {
            thread: [
                WatchingPage(f"page {number} of thread {thread}", site, gateway, thread, seed)
                for number, gateway in enumerate(gateways, start=1)
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

    @property
    def all_live(self) -> bool:
        """Whether every page has its list and its stream."""
        return all(page.is_live for page in self._every())

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
