"""The outboxes' side of the books: what the databases count, against what Redis was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django_hooks.figures import aware
from django_hooks.models import OutboxRow
from django_hooks.outbox import Outbox
from django_hooks.outboxes import outboxes
from pushgate import Event, InvalidEvent
from pushgate.accounts import Account
from pushgate.books import Books
from pushgate.ledger import Source
from pushgate.strays import RelayedRow

ROWS_AT_ONCE = 1_000
READINGS = 5
"""Of an outbox, where rows are purged as soon as they are relayed; the next check reads again."""


class SiteOutboxes:
    """The outboxes of all of the site's databases. See `pushgate.auditing.Outboxes`.

    What a database says of the rows up to the relay's mark is true whenever it is asked, so the
    marks are read first, and it does not matter how much is relayed or purged meanwhile. But where
    rows behind the mark that was read are purged already, all is read again.
    """

    def accounts(self, books: Books, read_again: Callable[[], Books]) -> Iterator[Account]:
        """One of each outbox, with its source for its name.

        Args:
            books: Redis' side.
            read_again: reads that side as it is now.

        Raises:
            django.db.Error: a database cannot be read.
        """
        for outbox in outboxes():
            source = outbox.source()
            yield _account(outbox, source, books, read_again)

    def relayed_rows(self, books: Books) -> Iterator[RelayedRow]:
        """The rows kept at or below the relay's marks, the youngest of each outbox first."""
        for outbox in outboxes():
            mark = int(books.sources.get(outbox.source(), Source()).mark or 0)
            yield from _rows(outbox.alias, mark)


def _account(outbox: Outbox, source: str, books: Books, read_again: Callable[[], Books]) -> Account:
    for _ in range(READINGS):
        known = books.sources.get(source, Source())
        mark = int(known.mark or 0)
        found = outbox.books(mark)
        gone = known.gone
        if mark >= found.purged_until:
            break
        books = read_again()
        if int(books.sources.get(source, Source()).mark or 0) < found.purged_until:
            # Redis was set back and no relay has looked since; it will book these.
            gone = max(gone, found.relayed - known.relayed)
            break
        # Rows were relayed and purged in between.
    return Account(
        "outbox",
        ("committed", found.committed),
        (("waiting", found.waiting), ("relayed", known.relayed), ("gone", gone)),
        name=source,
        more="{} rows up to the relay's mark were never put on the queue",
        fewer="{} more rows were put on the queue than there ever were up to the relay's mark: "
        "rows were relayed twice, or are gone from the database and nobody counted them as purged",
        beside=(("kept aside", found.refused), ("purged", found.purged)),
    )


def _rows(alias: str, mark: int) -> Iterator[RelayedRow]:
    below = mark + 1
    while True:
        rows = (
            OutboxRow.objects.using(alias)
            .filter(id__lt=below, refused="")
            .order_by("-id")
            .values_list("id", "event", "created_at")[:ROWS_AT_ONCE]
        )
        found = list(rows)
        for _, text, written_at in found:
            try:
                event_id = Event.from_json(text).id
            except InvalidEvent:
                continue
            yield RelayedRow(event_id, aware(written_at) or written_at)
        if len(found) < ROWS_AT_ONCE:
            return
        below = found[-1][0]
