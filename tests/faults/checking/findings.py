"""Where the parts of the checker put what they find; however much is wrong, the list is bounded."""

from __future__ import annotations

from collections import Counter

from tests.faults.evidence import Finding, Kind, Verdict

MOST_LISTED = 1_000
"""Of a kind; what comes beyond is counted."""


class Findings:
    """What was found so far, kept in a verdict."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self._listed: Counter[Kind] = Counter()

    def is_full(self, kind: Kind) -> bool:
        """Whether another one of this kind would only be counted."""
        return self._listed[kind] >= MOST_LISTED

    def add(self, kind: Kind, at: float, sentence: str) -> None:
        """Note something that is wrong."""
        if self.is_full(kind):
            self.count(kind, 1)
            return
        self._listed[kind] += 1
        self._verdict.findings.append(Finding(kind, at, sentence))

    def count(self, kind: Kind, more: int) -> None:
        """Note that there are so many more, without their sentences."""
        self._verdict.unlisted[kind] += more
