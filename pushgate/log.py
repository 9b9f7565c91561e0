"""The log: all frames in order; and the histories, one channel's recent frames each."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import redis

from pushgate.channels import check_channel
from pushgate.cursor import Cursor
from pushgate.keys import Keys
from pushgate.scripts import Script

LOG_LENGTH = 100_000
HISTORY_LENGTH = 1_000
"""Frames that a channel's history has at the least, once it had as many."""

HISTORY_SLACK = HISTORY_LENGTH // 20
"""A history is cut when it has so many more (`append_frames.lua` counts the same)."""

HISTORY_SECONDS = 3_600

DELETION_WINDOW_SECONDS = 3_600
"""A second deletion of the same id within this time does nothing."""


class ResetReason(StrEnum):
    """Why a subscriber cannot be given what came after its cursor."""

    HISTORY = "history"
    EPOCH = "epoch"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One frame in the log, or the deletion of channels.

    Attributes:
        entry_id: `<ms>-<seq>`.
        channels: who gets it.
        frame: the bytes, without their `id:` line; empty for a deletion.
    """

    entry_id: str
    channels: tuple[str, ...]
    frame: bytes

    @property
    def is_deletion(self) -> bool:
        """Whether the histories of its channels were emptied here, and there is no frame."""
        return not self.frame


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

    def delete_channel(self, channel: str, deletion_id: str = "") -> str:
        """Empties a channel's history and says so in the log, which tells its subscribers.

        Who comes later with a cursor before the deletion gets a reset.

        Args:
            channel: which; it may be one that never had a frame.
            deletion_id: the same one deletes once within an hour; made when not given.

        Returns:
            The entry of the log that tells of it; the earlier one when it was done before.

        Raises:
            InvalidChannel: the name breaks the rule.
        """
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
        self._history = Script(client, "history")
        self._delete_channel = Script(client, "delete_channel")

    def cursor(self) -> Cursor:
        """See `Log.cursor`."""
        epoch, last_id, _added = self._epoch(
            [self._keys.epoch, self._keys.log], [secrets.token_hex(4)]
        )
        return Cursor.of_entry(epoch.decode(), last_id.decode())

    def begin_epoch(self, epoch: str) -> Cursor:
        """See `Log.begin_epoch`."""
        shown = (_BEYOND_ANY_MS, 0)
        moved, last_id, _added = self._move_epoch(
            [self._keys.epoch, self._keys.log, self._keys.ledger],
            [epoch, secrets.token_hex(4), *shown],
        )
        return Cursor.of_entry(moved.decode(), last_id.decode())

    def after(self, entry_id: str, count: int) -> list[LogEntry]:
        """See `Log.after`."""
        found: Any = self._client.xrange(self._keys.log, f"({entry_id}", "+", count=count)
        return [_entry(found_id, fields) for found_id, fields in found]

    def history(self, channel: str, cursor: Cursor) -> History:
        """See `Log.history`."""
        epoch, seconds, found, cut_to = self._history(
            [self._keys.epoch, self._keys.channel(channel)], [cursor.entry_id]
        )
        if epoch.decode() != cursor.epoch:
            return History(reset=ResetReason.EPOCH)
        if cursor.ms < (int(seconds) - HISTORY_SECONDS) * 1000:
            return History(reset=ResetReason.HISTORY)
        ms, _, seq = cut_to.decode().partition("-")
        if (int(ms), int(seq)) > (cursor.ms, cursor.seq):
            return History(reset=ResetReason.HISTORY)
        entries = (
            _entry(entry_id, dict(zip(fields[::2], fields[1::2], strict=True)))
            for entry_id, fields in found
        )
        return History(tuple(entry for entry in entries if channel in entry.channels))

    def delete_channel(self, channel: str, deletion_id: str = "") -> str:
        """See `Log.delete_channel`."""
        entry_id = self._delete_channel(
            [
                self._keys.log,
                self._keys.ledger,
                self._keys.put(deletion_id or new_deletion_id()),
                self._keys.channel(check_channel(channel)),
            ],
            [channel, HISTORY_SECONDS, LOG_LENGTH, DELETION_WINDOW_SECONDS],
        )
        return str(entry_id.decode())


def new_deletion_id() -> str:
    """An id that no other deletion has."""
    return f"deletion-{secrets.token_hex(12)}"


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> LogEntry:
    channels = tuple(fields[b"channels"].decode().split())
    return LogEntry(entry_id.decode(), channels, fields[b"frame"])
