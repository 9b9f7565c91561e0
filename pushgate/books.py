"""What the books of a namespace say, and what they are compared with, as of one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from pushgate.keys import Keys
from pushgate.ledger import Ledger, Source, ledger_of, sources_of
from pushgate.scripts import Script

MOST_BEHIND = 1_000
"""A gateway that has more entries of the log before it cannot be compared."""


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What Redis itself says of the log.

    Attributes:
        added: how many entries it was ever given.
        last_id: the last id it gave; `0-0` when there is no log.
        first_id: the oldest entry it holds; "" when it holds none.
    """

    added: int = 0
    last_id: str = "0-0"
    first_id: str = ""


@dataclass(frozen=True, slots=True)
class PublisherBooks:
    """The books of a publisher, and how many letters Redis has of it.

    Attributes:
        seen: entries of the log it has passed.
        sent: taken by its consumer.
        skipped: not for this publisher.
        missed: gone from the log before they could be sent.
        dead: given up.
        again: dead letters on their way once more.
        discarded: of the dead, those whose letter an operator has deleted.
        trimmed: of the dead, those whose letter went because there were too many.
        kept_dead: letters there are; None when they cannot be counted.
        kept_again: letters there are to be sent again.
    """

    name: str
    seen: int
    sent: int
    skipped: int
    missed: int
    dead: int
    again: int
    discarded: int
    trimmed: int
    kept_dead: int | None
    kept_again: int | None


@dataclass(frozen=True, slots=True)
class Books:
    """One reading.

    Attributes:
        ledger: the columns.
        epoch: the log's; "" when it has none.
        sources: every outbox that Redis knows, by its name.
        jobs: in each partition; None where that cannot be counted.
        letters: dead letters that are kept.
        log: None when its key holds no stream.
        publishers: by name.
    """

    ledger: Ledger
    epoch: str = ""
    sources: Mapping[str, Source] = field(default_factory=dict)
    jobs: Sequence[int | None] = ()
    letters: int | None = 0
    log: LogFacts | None = LogFacts()
    publishers: Sequence[PublisherBooks] = ()


@dataclass(frozen=True, slots=True)
class LogPlace:
    """How far the log had come at one of its entries.

    Attributes:
        epoch: the log's.
        place: how many entries it was given up to there; None when that cannot be said.
    """

    epoch: str
    place: int | None


class BooksReader:
    """Reads the books of a namespace.

    Args:
        client: made by `pushgate.connect`.
        keys: the namespace.
        partitions: the same number as in every part.
    """

    def __init__(self, client: redis.Redis, keys: Keys, partitions: int) -> None:
        self._client = client
        self._keys = keys
        self._partitions = partitions
        self._read = Script(client, "read_books")
        self._log_place = Script(client, "log_place")

    def read(self) -> Books:
        """All of them in one step."""
        keys = self._keys
        names = sorted(name.decode() for name in self._names_of_publishers())
        of_publishers = [
            key
            for name in names
            for key in (keys.publisher(name), keys.dead_of(name), keys.again(name))
        ]
        ledger, marks, epoch, log, letters, jobs, publishers = self._read(
            [
                *(keys.ledger, keys.relay, keys.epoch, keys.log, keys.dead),
                *map(keys.jobs, range(self._partitions)),
                *of_publishers,
            ],
            [self._partitions],
        )
        columns = _fields(ledger)
        return Books(
            ledger=ledger_of(columns),
            epoch=epoch.decode(),
            sources=sources_of(columns, _fields(marks)),
            jobs=[_count(found) for found in jobs],
            letters=_count(letters),
            log=LogFacts(log[0], log[1].decode(), log[2].decode()) if log else None,
            publishers=[
                _publisher(name, *publishers[3 * place : 3 * place + 3])
                for place, name in enumerate(names)
            ],
        )

    def place_of(self, entry_id: str) -> LogPlace:
        """How many entries the log was given up to an entry's id."""
        epoch, place = self._log_place([self._keys.epoch, self._keys.log], [entry_id, MOST_BEHIND])
        return LogPlace(epoch.decode(), place if place >= 0 else None)

    def _names_of_publishers(self) -> Any:
        return self._client.hkeys(self._keys.publishers)


def _publisher(name: str, books: Any, dead: Any, again: Any) -> PublisherBooks:
    texts = _fields(books) if books else {}
    columns = ("seen", "sent", "skipped", "missed", "dead", "again", "discarded", "trimmed")
    return PublisherBooks(
        name=name,
        **{column: int(texts.get(column.encode(), 0)) for column in columns},
        kept_dead=_count(dead),
        kept_again=_count(again),
    )


def _count(found: Any) -> int | None:
    return found if isinstance(found, int) else None


def _fields(pairs: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(pairs[::2], pairs[1::2], strict=True))
