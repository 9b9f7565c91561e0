"""The accounts: what must be equal if nothing was lost and nothing came twice, stage by stage.

The two sides of an account are counted by two that know nothing of each other, and each stage's
output is the next one's input. An account that was read of one moment balances at every moment, so
what does not balance is wrong however busy the system is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pushgate.books import Books, PublisherBooks

Column = tuple[str, int]
"""What is counted, and how many."""


@dataclass(frozen=True, slots=True)
class Account:
    """One equation.

    Attributes:
        stage: `outbox`, `origin`, `queue`, `partitions`, `dead letters`, `log`; `publisher` and
            `gateway` with what of it.
        whole: what came in.
        parts: what became of it; a column that is taken off is below zero.
        name: of what there may be several: a database, a gateway, a publisher.
        more: what it means when more came in than is accounted for; `{}` is how many.
        fewer: what it means when fewer did.
        beside: worth knowing, and no part of the balance.
        unknown: why it cannot be told now whether it balances; "" when it can.
    """

    stage: str
    whole: Column
    parts: tuple[Column, ...]
    name: str = ""
    more: str = "{} are missing"
    fewer: str = "{} are too many"
    beside: tuple[Column, ...] = ()
    unknown: str = ""

    @property
    def difference(self) -> int:
        """How many came in and are not accounted for (or, below zero, were accounted for twice)."""
        return self.whole[1] - sum(count for _, count in self.parts)

    @property
    def balances(self) -> bool:
        """Whether it does, as far as can be told."""
        return bool(self.unknown) or self.difference == 0

    @property
    def title(self) -> str:
        """The stage, and of which."""
        return f"{self.stage} {self.name}" if self.name else self.stage

    @property
    def complaint(self) -> str:
        """What is wrong, in one sentence; "" when nothing is."""
        if self.balances:
            return ""
        what = self.more if self.difference > 0 else self.fewer
        return f"{self.title}: {what.format(abs(self.difference))}."


def accounts_of(books: Books) -> Iterator[Account]:
    """The accounts of what lies in Redis, in the order of an event's way.

    Args:
        books: read of one moment.
    """
    yield from _of_queue(books)
    yield _of_dead_letters(books)
    yield _of_log(books)
    for publisher in books.publishers:
        yield from _of_publisher(publisher)


def _of_queue(books: Books) -> Iterator[Account]:
    ledger = books.ledger
    yield Account(
        "origin",
        ("accepted", ledger.accepted),
        (
            ("relayed", sum(source.relayed for source in books.sources.values())),
            ("put without an outbox", ledger.put),
            ("published straight", ledger.straight),
        ),
        beside=(("writes refused to who had lost its lease", ledger.refused),),
    )
    yield Account(
        "queue",
        ("accepted", ledger.accepted),
        (
            ("published", ledger.published),
            ("suppressed", ledger.suppressed),
            ("dead", ledger.dead),
            ("expired", ledger.expired),
            ("queued", ledger.queued),
        ),
        more="{} events were accepted and are in no state",
        fewer="{} events are in two states, or in one that they never came to",
    )
    known = _known(books.jobs)
    yield Account(
        "partitions",
        ("queued", ledger.queued),
        ((f"jobs in {len(books.jobs)} partitions", sum(known)),),
        more="{} jobs are booked as queued and lie in no partition that was counted",
        fewer="{} jobs lie in the partitions that are not booked as queued",
        unknown=_if_unknown(books.jobs, "a partition's key holds no stream"),
    )


def _of_dead_letters(books: Books) -> Account:
    ledger = books.ledger
    return Account(
        "dead letters",
        ("dead", ledger.dead),
        (
            ("kept", books.letters or 0),
            ("discarded", ledger.discarded),
            ("trimmed", ledger.trimmed),
        ),
        more="{} events are booked as dead and have no letter",
        fewer="{} letters are of events that are not booked as dead",
        unknown=_if_unknown([books.letters], "the key of the dead letters holds no stream"),
    )


def _of_log(books: Books) -> Account:
    ledger, log = books.ledger, books.log
    return Account(
        "log",
        ("entries given", log.added if log else 0),
        (
            ("frames", ledger.frames),
            ("deletions", ledger.deletions),
            ("lost", -ledger.lost),
        ),
        more="{} entries were appended to the log by nobody who books it",
        fewer="{} entries are booked as appended and the log was never given them, or lost them",
        unknown="" if log else "the key of the log holds no stream",
    )


def _of_publisher(books: PublisherBooks) -> Iterator[Account]:
    yield Account(
        "publisher",
        ("seen", books.seen),
        (
            ("sent", books.sent),
            ("skipped", books.skipped),
            ("missed", books.missed),
            ("dead", books.dead),
            ("again", books.again),
        ),
        name=books.name,
        more="{} entries were passed and nothing became of them",
        fewer="{} entries are in two states",
    )
    yield Account(
        "publisher letters",
        ("dead and again", books.dead + books.again),
        (
            ("kept", books.kept_dead or 0),
            ("to be sent again", books.kept_again or 0),
            ("discarded", books.discarded),
            ("trimmed", books.trimmed),
        ),
        name=books.name,
        more="{} items are booked as dead and have no letter",
        fewer="{} letters are of items that are not booked as dead",
        unknown=_if_unknown(
            [books.kept_dead, books.kept_again], "a key of its letters holds no stream"
        ),
    )


def _known(counts: Sequence[int | None]) -> list[int]:
    return [count for count in counts if count is not None]


def _if_unknown(counts: Sequence[int | None], why: str) -> str:
    return why if None in counts else ""
