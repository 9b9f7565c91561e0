"""The books on one page, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pushgate.accounts import Account, Column


@dataclass(frozen=True, slots=True)
class Strays:
    """Events that are where they should not be, or nowhere.

    Attributes:
        what: is wrong with them.
        event_ids: some of them.
        has_more: there are more.
    """

    what: str
    event_ids: tuple[str, ...]
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """One reading of the books, and what is wrong with them.

    Attributes:
        accounts: in the order of an event's way.
        notes: worth knowing, one sentence each.
        behind: what a gateway has not handed over yet, one sentence each.
        away: who could not be asked, one sentence each.
        strays: the events that explain it, as far as they can be found.
    """

    accounts: Sequence[Account]
    notes: Sequence[str] = ()
    behind: Sequence[str] = ()
    away: Sequence[str] = ()
    strays: Sequence[Strays] = ()

    @property
    def balances(self) -> bool:
        """Whether every account balances, and can be told, and everybody was asked."""
        return not self.complaints

    @property
    def complaints(self) -> list[str]:
        """What is wrong, one sentence each; nothing when it balances."""
        return [
            *self.away,
            *(account.complaint for account in self.accounts if account.complaint),
            *(
                f"{account.title}: it cannot be told: {account.unknown}."
                for account in self.accounts
                if account.unknown
            ),
            *self.behind,
        ]

    def as_json(self) -> dict[str, Any]:
        """The sheet as JSON has it."""
        return {
            "balances": self.balances,
            "complaints": self.complaints,
            "accounts": [_as_json(account) for account in self.accounts],
            "events": [
                {"what": found.what, "ids": list(found.event_ids), "has_more": found.has_more}
                for found in self.strays
            ],
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[str]:
        """The sheet as lines for people."""
        yield "The books balance." if self.balances else "The books do NOT balance:"
        for complaint in self.complaints:
            yield f"- {complaint}"
        for found in self.strays:
            yield ""
            yield f"{found.what}:"
            yield from (f"  {event_id}" for event_id in found.event_ids)
            if found.has_more:
                yield "  and more"
        if self.strays:
            yield "manage.py push_explain <id> shows an event's way."
        yield ""
        width = max(len(account.stage) for account in self.accounts) + 2
        name: str | None = None
        for account in self.accounts:
            if account.name != name:
                name = account.name
                yield name or "Redis"
            yield f"  {account.stage.ljust(width)}{_equation(account)}"
        if self.notes:
            yield ""
            yield from self.notes


def _equation(account: Account) -> str:
    sign = "?" if account.unknown else "=" if account.balances else "IS NOT"
    parts = "".join(_term(column, place) for place, column in enumerate(account.parts))
    beside = ", ".join(f"{count} {name}" for name, count in account.beside if count)
    name, count = account.whole
    return f"{count} {name} {sign} {parts}" + (f"  ({beside})" if beside else "")


def _term(column: Column, place: int) -> str:
    name, count = column
    if place == 0:
        return f"{count} {name}"
    return f" - {-count} {name}" if count < 0 else f" + {count} {name}"


def _as_json(account: Account) -> dict[str, Any]:
    return {
        "stage": account.stage,
        "name": account.name,
        "whole": {account.whole[0]: account.whole[1]},
        "parts": dict(account.parts),
        "beside": dict(account.beside),
        "difference": None if account.unknown else account.difference,
        "balances": None if account.unknown else account.balances,
        "unknown": account.unknown,
    }
