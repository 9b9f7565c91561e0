"""What an operator sees of the publishers and may do to them: where each stands, what it gave up,
stop and resume.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from pushgate.cursor import Cursor
from pushgate.keys import Keys
from pushgate.positions import DeadItem, item_of, lease_name
from pushgate.scripts import Script

LETTERS_AT_A_TIME = 100


@dataclass(frozen=True, slots=True)
class PublisherState:
    """One publisher at a glance.

    Attributes:
        name: the publisher's.
        cursor: everything in the log up to here is booked.
        holder: the process that runs it; "" when none does.
        behind: entries of the log it has not booked; None when that cannot be said.
        lag_seconds: the age of the oldest of them; 0 when there is none.
        seen: entries it has passed; the sum of the next five.
        sent: taken by its consumer.
        skipped: not for this publisher.
        missed: gone from the log before they could be sent.
        dead: given up.
        again: dead letters on their way once more.
        failed: attempts that failed.
        resets: how often its consumer was told of a gap, or of the beginning.
        error: what fails now; "" when nothing does.
        stopped: why nothing is sent; "" when it is.
    """

    name: str
    cursor: Cursor
    holder: str
    behind: int | None
    lag_seconds: float
    seen: int
    sent: int
    skipped: int
    missed: int
    dead: int
    again: int
    failed: int
    resets: int
    error: str
    stopped: str

    @property
    def balances(self) -> bool:
        """Whether every entry it has passed is accounted for."""
        return self.seen == self.sent + self.skipped + self.missed + self.dead + self.again


class PublisherControl:
    """The operator's view of a namespace's publishers.

    Args:
        client: made by `pushgate.connect`.
        keys: the namespace.
    """

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._send_again = Script(client, "send_again")
        self._discard_dead = Script(client, "discard_dead")

    def states(self) -> list[PublisherState]:
        """Every publisher that ever stood in the log, by name."""
        found: Any = self._client.hgetall(self._keys.publishers)
        cursors = {name.decode(): Cursor.parse(text.decode()) for name, text in found.items()}
        return [self._state(name, cursor) for name, cursor in sorted(cursors.items())]

    def dead_letters(
        self, name: str, count: int = LETTERS_AT_A_TIME, before: str | None = None
    ) -> list[DeadItem]:
        """What a publisher gave up, the newest first.

        Args:
            name: the publisher's.
            count: at most so many.
            before: only letters older than this entry.
        """
        newest = f"({before}" if before else "+"
        found: Any = self._client.xrevrange(self._keys.dead_of(name), newest, "-", count=count)
        return [item_of(entry_id, fields) for entry_id, fields in found]

    def retry_dead_letters(self, name: str, entry_ids: Iterable[str]) -> int:
        """Has the publisher send dead letters again; returns how many were there.

        They go beside what comes from the log, so a channel's order does not hold for them.
        """
        keys = [self._keys.publisher(name), self._keys.dead_of(name), self._keys.again(name)]
        return sum(int(self._send_again(keys, [entry_id])) for entry_id in entry_ids)

    def discard_dead_letters(self, name: str, entry_ids: Sequence[str]) -> int:
        """Deletes dead letters for good; returns how many were there. The books keep them."""
        keys = [self._keys.dead_of(name), self._keys.publisher(name)]
        return int(self._discard_dead(keys, entry_ids))

    def stop(self, name: str, reason: str) -> None:
        """Has the publisher send nothing, within a second; its place in the log is kept."""
        self._client.hset(self._keys.publisher(name), "stopped", reason or "stopped")

    def resume(self, name: str) -> None:
        """Has a stopped publisher go on from where it stands."""
        self._client.hdel(self._keys.publisher(name), "stopped")

    def forget(self, name: str) -> None:
        """Deletes all there is of a publisher that is no longer configured."""
        self._client.hdel(self._keys.publishers, name)
        self._client.delete(
            self._keys.publisher(name), self._keys.dead_of(name), self._keys.again(name)
        )

    def _state(self, name: str, cursor: Cursor) -> PublisherState:
        # By itself: it names no key, and a cluster has no place in a pipeline for it.
        seconds, microseconds = self._client.time()
        now = seconds + microseconds / 1_000_000
        with self._client.pipeline(transaction=False) as together:
            together.hgetall(self._keys.publisher(name))
            together.get(self._keys.lease(lease_name(name)))
            together.get(self._keys.epoch)
            together.xrange(self._keys.log, f"({cursor.entry_id}", "+", count=1)
            together.xinfo_stream(self._keys.log)
            books, holder, epoch, waiting, info = together.execute(raise_on_error=False)
        texts = {column.decode(): value.decode() for column, value in books.items()}
        place = texts.get("place")
        known = place and isinstance(info, dict) and epoch == cursor.epoch.encode()
        oldest_ms = int(waiting[0][0].partition(b"-")[0]) if waiting else None
        columns = ("seen", "sent", "skipped", "missed", "dead", "again", "failed", "resets")
        return PublisherState(
            name=name,
            cursor=cursor,
            holder=holder.decode().partition(":")[2] if holder else "",
            behind=int(info["entries-added"]) - int(place) if known and place else None,
            lag_seconds=max(0.0, now - oldest_ms / 1000) if oldest_ms else 0.0,
            **{column: int(texts.get(column, "0")) for column in columns},
            error=texts.get("error", ""),
            stopped=texts.get("stopped", ""),
        )
