"""One database's outbox, as the relay reads it: in order, and no row before it is settled.

On PostgreSQL ids are given out when a row is written and seen when its transaction commits, so a
slower transaction can bring a lower id after a higher one. A relay that remembers the last id would
skip that row for ever. Reading by transaction (`xid < pg_snapshot_xmin(...)`, in (xid, id) order)
skips nothing, but where an old transaction is the last to write to an object it comes out first,
and any long transaction of the whole cluster stops the stream. So rows are read by id, up to a
*settled* id: the highest one seen at a moment whose writers have all ended. Who writes to the
outbox takes the table's ROW EXCLUSIVE lock before its row gets an id and holds it to its end, so
`pg_locks` names exactly those to wait for. Rows of one object are written while that object's row
is locked: by id they are in order.

SQLite has one writer at a time: what can be seen is settled.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.db.models import Count, F, Min, Q
from django.db.models.functions import Greatest
from django.utils import timezone

from django_hooks.models import OutboxIdentity, OutboxRow

COUNTED_ROWS = 10_000
"""So many waiting rows are counted; then there are simply more."""

_TABLE = OutboxRow._meta.db_table

# More conditions than the one on the index would look selective to a PostgreSQL that has not
# analysed the table; it would sort the whole backlog for each batch instead of walking the index.
_ROWS = f"""
    SELECT id, CASE refused WHEN '' THEN event END FROM "{_TABLE}"
    WHERE id > %s ORDER BY id LIMIT %s
"""
_POSTGRESQL_NEWEST_AND_WRITERS = f"""
    SELECT
        (SELECT max(id) FROM "{_TABLE}" WHERE id > %s),
        ARRAY(
            SELECT virtualtransaction || ' of process ' || coalesce(pid::text, '(prepared)')
            FROM pg_locks
            WHERE locktype = 'relation'
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND relation = '"{_TABLE}"'::regclass
              AND mode = 'RowExclusiveLock' AND granted
              AND pid IS DISTINCT FROM pg_backend_pid()
        )
"""
# As the partial index has it, and with no parameter: else SQLite would not use the index.
_REFUSED = f"""SELECT count(*) FROM "{_TABLE}" WHERE NOT (refused = '')"""
# One statement sees one moment: a purge between two would count rows twice, or not at all. It walks
# the whole outbox, once.
_BOOKS = f"""
    SELECT purged, purged_until, counted.kept, counted.waiting, ({_REFUSED})
    FROM "{OutboxIdentity._meta.db_table}", (
        SELECT count(*) AS kept, count(CASE WHEN id > %s THEN 1 END) AS waiting
        FROM "{_TABLE}" WHERE refused = ''
    ) AS counted
    WHERE id = {OutboxIdentity.ONLY_ID}
"""
_COMMITTED_UNTIL = f"""
    SELECT purged + (SELECT count(*) FROM "{_TABLE}" WHERE refused = '' AND id <= %s)
    FROM "{OutboxIdentity._meta.db_table}" WHERE id = {OutboxIdentity.ONLY_ID}
"""
_HIGHEST_ID = {
    "postgresql": f"""
        SELECT pg_sequence_last_value(pg_get_serial_sequence('"{_TABLE}"', 'id')::regclass)
    """,
    "sqlite": f"SELECT seq FROM sqlite_sequence WHERE name = '{_TABLE}'",
}

RELAYED_VENDORS = frozenset(_HIGHEST_ID)
"""The kinds of database whose outbox the relay can read."""


@dataclass(frozen=True, slots=True)
class OutboxState:
    """One outbox at a glance.

    Attributes:
        alias: Django's name of the database.
        relayed_until: the relay's mark.
        waiting: rows behind the mark; `COUNTED_ROWS` stands for that many or more.
        oldest_at: since when the oldest of those has been there; None when none waits.
        refused: rows that are no event and are kept until somebody has looked at them.
    """

    alias: str
    relayed_until: int
    waiting: int
    oldest_at: datetime | None
    refused: int

    @property
    def oldest_seconds(self) -> float:
        """For how long the oldest row has been waiting; 0 when none waits."""
        if self.oldest_at is None:
            return 0.0
        return max(0.0, (timezone.now() - self.oldest_at).total_seconds())

    def __str__(self) -> str:
        more = "or more " if self.waiting == COUNTED_ROWS else ""
        return (
            f"database {self.alias!r}: {self.waiting} {more}rows wait in the outbox, the oldest "
            f"for {self.oldest_seconds:.0f} s"
        )


@dataclass(frozen=True, slots=True)
class OutboxBooks:
    """What the database itself counts, as of one moment.

    Attributes:
        rows: there are, but for the refused ones.
        waiting: of those, the rows behind a mark.
        purged: deleted once they had been relayed.
        purged_until: the highest id among those.
        refused: rows that are no event.
    """

    rows: int
    waiting: int
    purged: int
    purged_until: int
    refused: int

    @property
    def committed(self) -> int:
        """Rows that were ever committed."""
        return self.rows + self.purged

    @property
    def relayed(self) -> int:
        """Rows that were ever committed up to the mark."""
        return self.committed - self.waiting


class Outbox:
    """The outbox in the database `alias`.

    Attributes:
        alias: Django's name of the database.
        writers: the transactions a call of `settled` waits for, as text for a log.
    """

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.writers: frozenset[str] = frozenset()
        self._settled = 0
        self._candidate = 0
        self._connection = connections[alias]
        if self._connection.vendor not in RELAYED_VENDORS:
            raise ImproperlyConfigured(
                f"database {alias!r} is {self._connection.display_name}: the relay knows "
                'PostgreSQL and SQLite; use PUSHGATE["MODE"] = "on_commit" with others'
            )

    def exists(self) -> bool:
        """Whether the outbox's tables are in this database, and it is no standby of another."""
        with self._connection.cursor() as cursor:
            tables = self._connection.introspection.table_names(cursor)
            if not {_TABLE, OutboxIdentity._meta.db_table} <= set(tables):
                return False
            if self._connection.vendor != "postgresql":
                return True
            cursor.execute("SELECT pg_is_in_recovery()")
            return not cursor.fetchone()[0]

    def place(self) -> str:
        """Return what two aliases of one database have in common, and no two databases."""
        if self._connection.vendor == "sqlite":
            name = str(self._connection.settings_dict["NAME"])
            return os.path.realpath(name) if os.path.exists(name) else f"{self.alias}:{name}"
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT system_identifier, oid FROM pg_control_system(), pg_database "
                "WHERE datname = current_database()"
            )
            return "/".join(map(str, cursor.fetchone()))

    def source(self) -> str:
        """Return the outbox's own name, drawn at the first call. The mark stands under it."""
        row, _ = OutboxIdentity.objects.using(self.alias).get_or_create(pk=OutboxIdentity.ONLY_ID)
        return f"{self.alias}:{row.name.hex}"

    def renew_identity(self) -> None:
        """Give the outbox another name, so that a mark kept under the old one hides no rows."""
        OutboxIdentity.objects.using(self.alias).filter(pk=OutboxIdentity.ONLY_ID).update(
            name=uuid.uuid4()
        )

    def forget(self) -> None:
        """Forget what was settled: this is another outbox now."""
        self.writers = frozenset()
        self._settled = self._candidate = 0

    def highest_id(self) -> int:
        """Return the highest id ever given out here, also to rows that were purged or undone."""
        with self._connection.cursor() as cursor:
            cursor.execute(_HIGHEST_ID[self._connection.vendor])
            row = cursor.fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def settled(self, after: int) -> int:
        """Return the id up to which every row there will ever be can be seen now.

        Where `writers` is not empty afterwards, there is more that waits for them to end.
        """
        if self._connection.vendor == "sqlite":
            newest = OutboxRow.objects.using(self.alias).order_by("-id").values_list("id").first()
            return newest[0] if newest else after
        newest_id, writers = self._newest_and_writers(after)
        if self.writers:
            self.writers &= writers
        else:
            self._candidate, self.writers = newest_id, writers
        if newest_id <= after:
            # Nobody's row waits; who writes now gets a higher id than any yet seen.
            self.writers = frozenset()
        if not self.writers:
            self._settled = self._candidate
        return max(after, self._settled)

    def rows(self, after: int, until: int, count: int) -> Sequence[tuple[int, str]]:
        """Return at most `count` rows with `after` < id <= `until`: (id, event), in order."""
        found: list[tuple[int, str]] = []
        while not found:
            # Thousands a second pass here; as SQL they cost half of what the ORM's rows do.
            with self._connection.cursor() as cursor:
                cursor.execute(_ROWS, [after, count])
                read = cursor.fetchall()
            found = [row for row in read if row[1] is not None and row[0] <= until]
            if len(read) < count or read[-1][0] > until:
                break
            after = read[-1][0]
        return found

    def state(self, after: int) -> OutboxState:
        """Return how many rows wait behind `after`, since when, and how many were refused.

        Cheap also on a long backlog: one walk along the index and one of the few refused rows.
        """
        waiting = Q(refused="")
        behind = OutboxRow.objects.using(self.alias).filter(id__gt=after).order_by("id")
        found = behind[:COUNTED_ROWS].aggregate(
            waiting=Count("id", filter=waiting), oldest_at=Min("created_at", filter=waiting)
        )
        with self._connection.cursor() as cursor:
            cursor.execute(_REFUSED)
            (refused,) = cursor.fetchone()
        return OutboxState(self.alias, after, found["waiting"], found["oldest_at"], refused)

    def books(self, mark: int) -> OutboxBooks:
        """Return what the database counts, with the rows behind a mark apart.

        What it says of the rows up to the mark is true whenever it is asked: no row appears there
        any more, and one that is purged is counted elsewhere.
        """
        self.source()
        with self._connection.cursor() as cursor:
            cursor.execute(_BOOKS, [mark])
            purged, purged_until, rows, waiting, refused = cursor.fetchone()
        return OutboxBooks(rows, waiting, purged, purged_until, refused)

    def committed_until(self, mark: int) -> int:
        """Return how many rows were ever committed up to a mark and are purged or not refused.

        As `books` has it, for who has no time: no row behind the mark is looked at.
        """
        self.source()
        with self._connection.cursor() as cursor:
            cursor.execute(_COMMITTED_UNTIL, [mark])
            return int(cursor.fetchone()[0])

    def purged_until(self) -> int:
        """Return the highest id of a row that was purged; 0 when none was."""
        found = OutboxIdentity.objects.using(self.alias).values_list("purged_until", flat=True)
        return found.first() or 0

    def refuse(self, row_id: int, reason: str) -> None:
        """Keep a row out of the stream, with the reason; it stays until somebody looks at it."""
        OutboxRow.objects.using(self.alias).filter(pk=row_id).update(refused=reason)

    def purge(self, until: int, retention_seconds: float, count: int) -> int:
        """Delete the oldest rows: at most `count`, relayed (id <= `until`) and old enough.

        It stops at the first that is not: where the site's clock was put wrong for a moment, rows
        behind it may look older, and what is kept must have no hole when it is relayed again.
        """
        oldest = (
            OutboxRow.objects.using(self.alias)
            .filter(id__lte=until, refused="")
            .order_by("id")
            .values_list("id", "created_at")[:count]
        )
        cutoff = timezone.now() - timedelta(seconds=retention_seconds)
        past = [row_id for row_id, _ in takewhile(lambda row: row[1] < cutoff, oldest)]
        if past:
            self._delete(past)
        return len(past)

    def _delete(self, row_ids: Sequence[int]) -> None:
        """Delete relayed rows and count them, in one transaction."""
        self.source()
        identity = OutboxIdentity.objects.using(self.alias).filter(pk=OutboxIdentity.ONLY_ID)
        with transaction.atomic(using=self.alias):
            # Another one may purge them too; each counts what it deleted itself.
            deleted, _ = OutboxRow.objects.using(self.alias).filter(id__in=row_ids).delete()
            identity.update(
                purged=F("purged") + deleted,
                purged_until=Greatest(F("purged_until"), row_ids[-1]),
            )

    def reconnect_if_needed(self) -> None:
        """Close a connection that is broken or past its age; the next query opens another."""
        self._connection.close_if_unusable_or_obsolete()

    def disconnect(self) -> None:
        """Close the connection, which may be broken; the next query opens another."""
        self._connection.close()

    def _newest_and_writers(self, after: int) -> tuple[int, frozenset[str]]:
        with self._connection.cursor() as cursor:
            cursor.execute(_POSTGRESQL_NEWEST_AND_WRITERS, [after])
            newest_id, writers = cursor.fetchone()
        return newest_id or after, frozenset(writers)
