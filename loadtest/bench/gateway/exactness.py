"""Whether everybody got everything once, as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.bench.gateway.findings import RELOAD, Findings
from loadtest.bench.gateway.own_gateway import OwnGateway
from loadtest.bench.table import met

Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Exactness:
    """What a proof demands of every run.

    Attributes:
        due: frames that had to come, over all subscribers.
        came: frames that did.
        lost: frames that never came, a reset or not.
        resets: by reason; nothing was lost or cut off, so each is a false one.
        refusals: by reason, but for those of old workers at a reload, which are none.
        departures: streams that the gateway ended by itself, by reason; their clients come back.
        complaints: lines of nginx' log that tell of alerts and worse, and of workers that died.
        errors: lines of it that tell of errors; to look at when something is wrong.
        books: the gateway's ledger when all streams had ended.
    """

    due: int
    came: int
    lost: int
    twice: int
    out_of_order: int
    resets: Mapping[str, int]
    refusals: Mapping[str, int]
    departures: Mapping[str, int]
    complaints: Sequence[str]
    errors: Sequence[str]
    books: Mapping[str, Any]

    @classmethod
    def of(cls, found: Findings, due: int, own: OwnGateway) -> Exactness:
        """Return what was found, and what the gateway itself says; its subscribers are gone."""
        refusals = {reason: count for reason, count in found.refusals.items() if reason != RELOAD}
        return cls(
            due,
            found.frames,
            found.lost,
            found.twice,
            found.out_of_order,
            dict(found.resets),
            refusals,
            {
                reason: count
                for reason, count in own.departures().items()
                if count and reason not in ("client", "exit")
            },
            own.complaints(),
            own.errors(),
            own.ledger_at_rest(),
        )

    @property
    def balances(self) -> bool:
        """Whether the gateway's books do, and no stream is missing from them."""
        return self.books.get("balances") is True and self.books["workers_killed"] == 0

    @property
    def is_exact(self) -> bool:
        """Whether everybody got everything once, and nothing else."""
        wrong = self.lost + self.twice + self.out_of_order
        return not (wrong or self.resets or self.refusals or self.complaints) and self.balances

    def rows(self) -> list[Row]:
        """Return the rows of a table: what, seen, target, met."""
        return [
            ("frames due", f"{self.due:,}", "", ""),
            ("frames that came, each looked at", f"{self.came:,}", "", ""),
            _none("lost", self.lost),
            _none("twice", self.twice),
            _none("out of order", self.out_of_order),
            _none("false resets", sum(self.resets.values()), _by_reason(self.resets)),
            _none("refusals", sum(self.refusals.values()), _by_reason(self.refusals)),
            (
                "streams that the gateway ended",
                f"{sum(self.departures.values()):,}{_by_reason(self.departures)}",
                "",
                "",
            ),
            _none("alerts and signals in nginx' log", len(self.complaints)),
            ("the gateway's books", *self._judged_books()),
        ]

    def notes(self) -> list[str]:
        """Return, when something is wrong, the first lines of what nginx says of it."""
        lines = [] if self.is_exact else [*self.complaints[:5], *self.errors[:5]]
        return [f"nginx: {line}" for line in lines]

    def _judged_books(self) -> tuple[str, str, str]:
        short = self.books["frames"]["short"]
        said = "balance" if self.balances else f"do not balance, short {short}"
        return said, "balance", met(self.balances)


def _none(what: str, count: int, by_reason: str = "") -> Row:
    return what, f"{count:,}{by_reason}", "0", met(count == 0)


def _by_reason(counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    return " (" + ", ".join(f"{reason} {count}" for reason, count in counts.items()) + ")"
