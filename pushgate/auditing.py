"""Reads all the books there are, and says whether they balance: `pushgate ledger` and
`manage.py push_ledger`.

What is read of one moment balances at every moment. What is not (a gateway that has the last
entries still before it, an outbox that got another name between two questions) does within
moments, and is read again until it does or the time is over; what is wrong stays wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import redis

from pushgate.accounts import Account, accounts_of
from pushgate.books import Books, BooksReader
from pushgate.gateways import GatewayAddress, GatewayAway, GatewayBooks
from pushgate.keys import Keys
from pushgate.sheet import Sheet
from pushgate.strays import RelayedRow, StrayFinder

WAIT_SECONDS = 10.0
"""How long a check waits for what is under way. The relay looks at its outboxes every five seconds,
a gateway at its log."""

_LOOK_AGAIN_SECONDS = 0.2


class Outboxes(Protocol):
    """The outboxes of a site: the side that only the site's databases know."""

    def accounts(self, books: Books, read_again: Callable[[], Books]) -> Iterable[Account]:
        """One of each outbox, with its source for its name."""
        ...

    def relayed_rows(self, books: Books) -> Iterable[RelayedRow]:
        """The rows they keep at or below the relay's marks, the youngest first."""
        ...


class Auditor:
    """Audits a namespace.

    Args:
        client: made by `pushgate.connect`.
        keys: the namespace.
        partitions: the same number as in every part.
        gateways: those to be asked.
        outboxes: the site's; None where nobody can read them.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        partitions: int,
        gateways: Sequence[GatewayAddress] = (),
        outboxes: Outboxes | None = None,
    ) -> None:
        self._reader = BooksReader(client, keys, partitions)
        self._finder = StrayFinder(client, keys, partitions)
        self._gateways = gateways
        self._outboxes = outboxes

    def read(self) -> Sheet:
        """Reads everything once."""
        return self._read()[0]

    def check(
        self, seconds: float = WAIT_SECONDS, sleep: Callable[[float], object] = time.sleep
    ) -> Sheet:
        """Reads everything until it balances, at most for so long; then looks for the events.

        Raises:
            RedisError: Redis did not answer.
        """
        ends_at = time.monotonic() + seconds
        while True:
            began_at = time.monotonic()
            sheet, books = self._read()
            if sheet.balances:
                return sheet
            now = time.monotonic()
            if now >= ends_at:
                break
            # Reading may mean to walk a big outbox: no more than half of the time.
            sleep(max(_LOOK_AGAIN_SECONDS, now - began_at))
        if not any(account.complaint for account in sheet.accounts):
            return sheet
        outboxes = self._outboxes
        strays = self._finder.find(
            books, lambda: outboxes.relayed_rows(books) if outboxes is not None else ()
        )
        return Sheet(sheet.accounts, sheet.notes, sheet.behind, sheet.away, tuple(strays))

    def _read(self) -> tuple[Sheet, Books]:
        books = self._reader.read()
        of_outboxes = (
            list(self._outboxes.accounts(books, self._reader.read)) if self._outboxes else []
        )
        accounts = [*of_outboxes, *accounts_of(books)]
        lacking: list[str] = []
        away: list[str] = []
        for address in self._gateways:
            try:
                told = address.ask()
            except GatewayAway as error:
                away.append(f"{error}.")
                continue
            accounts += told.accounts(self._reader)
            lacking += behind(told, books)
        notes = _notes(books, {account.name for account in of_outboxes})
        return Sheet(accounts, notes, lacking, away), books


def behind(gateway: GatewayBooks, books: Books) -> list[str]:
    """What the gateway lacks of what the log had when the books were read, before it was asked."""
    position = gateway.position
    if position is None or books.log is None or position.epoch != books.epoch:
        # Its accounts say so.
        return []
    ms, _, seq = books.log.last_id.partition("-")
    if (int(ms), int(seq)) <= (position.ms, position.seq):
        return []
    return [
        f"gateway {gateway.name}: it is at {position.entry_id}, and the log goes on to "
        f"{books.log.last_id}."
    ]


def _notes(books: Books, read: set[str]) -> list[str]:
    notes = [
        f"Outbox {source}: {known.relayed} rows relayed, up to {known.mark or 'none'}; its "
        "database was not asked."
        for source, known in books.sources.items()
        if source not in read
    ]
    if books.ledger.lost:
        notes.append(
            f"{books.ledger.lost} entries of the log were lost; a new epoch told everybody."
        )
    return notes
