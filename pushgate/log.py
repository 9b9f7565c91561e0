"""The log: all frames in order; and the histories, one channel's recent frames each."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import redis

from pushgate.cursor import Cursor
from pushgate.keys import Keys
from pushgate.scripts import Script

LOG_LENGTH = 100_000
HISTORY_LENGTH = 1_000
HISTORY_SECONDS = 3_600


class ResetReason(StrEnum):
    """Why a subscriber cannot be given what came after its cursor."""

    HISTORY = "history"
    EPOCH = "epoch"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One frame in the log.

    Attributes:
        entry_id: `<ms>-<seq>`.
        channels: who gets it.
        frame: the bytes, without their `id:` line.
    """

    entry_id: str
    channels: tuple[str, ...]
    frame: bytes


@dataclass(frozen=True, slots=True)
class History:
    """What a channel's history holds behind a cursor.

    Attributes:
        entries: the frames, first to last; none when `reset` says why.
        reset: set when the history cannot say what came after the cursor.
    """

    entries: tuple[LogEntry, ...] = ()
    reset: ResetReason | None = None


class Log(Protocol):
    """What every log does. `RedisLog` and `MemoryLog` pass the same tests."""

    def cursor(self) -> Cursor:
        """Where the log ends now."""
        ...

    def begin_epoch(self, epoch: str) -> Cursor:
        """Begins another epoch, because the log lost entries that it had shown in `epoch`.

        Who asks second for the same loss gets what the first one began.

        Returns:
            Where the log ends now, in the epoch that holds.
        """
        ...

    def after(self, entry_id: str, count: int) -> list[LogEntry]:
        """At most `count` entries behind `entry_id`, first to last."""
        ...

    def history(self, channel: str, cursor: Cursor) -> History:
        """What a channel got after the cursor."""
        ...


# The script asks where the log was seen; who knows of a loss by other means saw no end of it.
_BEYOND_ANY_MS = 2**53


class RedisLog:
    """The log of a namespace, in Redis. See `Log` for what each method promises."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._epoch = Script(client, "epoch")
        self._move_epoch = Script(client, "move_epoch")

    def cursor(self) -> Cursor:
        """See `Log.cursor`."""
        epoch, last_id = self._epoch([self._keys.epoch, self._keys.log], [secrets.token_hex(4)])
        return Cursor.of_entry(epoch.decode(), last_id.decode())

    def begin_epoch(self, epoch: str) -> Cursor:
        """See `Log.begin_epoch`."""
        shown = (_BEYOND_ANY_MS, 0)
        moved, last_id = self._move_epoch(
            [self._keys.epoch, self._keys.log], [epoch, secrets.token_hex(4), *shown]
        )
        return Cursor.of_entry(moved.decode(), last_id.decode())

    def after(self, entry_id: str, count: int) -> list[LogEntry]:
        """See `Log.after`."""
        return _entries(self._client.xrange(self._keys.log, f"({entry_id}", "+", count=count))

    def history(self, channel: str, cursor: Cursor) -> History:
        """See `Log.history`."""
        key = self._keys.channel(channel)
        with self._client.pipeline() as together:
            together.get(self._keys.epoch)
            together.time()
            together.xrange(key, f"({cursor.entry_id}", "+")
            together.xinfo_stream(key)
            epoch, (seconds, _), found, info = together.execute(raise_on_error=False)
        if epoch is None or epoch.decode() != cursor.epoch:
            return History(reset=ResetReason.EPOCH)
        if cursor.ms < (seconds - HISTORY_SECONDS) * 1000:
            return History(reset=ResetReason.HISTORY)
        if isinstance(info, redis.ResponseError):
            return History()
        ms, _, seq = info["max-deleted-entry-id"].decode().partition("-")
        if (int(ms), int(seq)) > (cursor.ms, cursor.seq):
            return History(reset=ResetReason.HISTORY)
        return History(tuple(entry for entry in _entries(found) if channel in entry.channels))


def _entries(found: Any) -> list[LogEntry]:
    return [
        LogEntry(entry_id.decode(), tuple(fields[b"channels"].decode().split()), fields[b"frame"])
        for entry_id, fields in found
    ]
