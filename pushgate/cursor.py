"""A position in the log, as a subscriber holds it: `<epoch>.<ms>-<seq>`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pushgate.errors import InvalidCursor

_PATTERN = re.compile(r"([0-9a-f]{8})\.(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,14})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A log entry's id under the epoch it was shown in.

    Attributes:
        epoch: 8 lowercase hex digits; it changes only when the log lost what it had shown, so
            cursors of two epochs have no order that means anything.
        ms: milliseconds since 1970 by the clock of Redis.
        seq: counts entries of one millisecond.

    Both numbers have at most 15 digits, so that a double (all that Lua has) holds them exactly.
    """

    epoch: str
    ms: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.ms}-{self.seq}"

    @property
    def entry_id(self) -> str:
        """The id as Redis writes it: `<ms>-<seq>`."""
        return f"{self.ms}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Reads what `str()` wrote, and nothing else.

        Raises:
            InvalidCursor: any other text.
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise InvalidCursor(f"cursor {text[:80]!r}: expected <8 hex digits>.<ms>-<seq>")
        return cls(match[1], int(match[2]), int(match[3]))

    @classmethod
    def of_entry(cls, epoch: str, entry_id: str) -> Cursor:
        """The cursor of the log entry `entry_id` (`<ms>-<seq>`) in `epoch`.

        Raises:
            InvalidCursor: the two do not make one.
        """
        return cls.parse(f"{epoch}.{entry_id}")
