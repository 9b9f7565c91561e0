"""Asks gateways for their books, at their private addresses, and reads what they answer."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pushgate import json_codec
from pushgate.accounts import Account
from pushgate.books import BooksReader
from pushgate.cursor import Cursor
from pushgate.errors import InvalidCursor, InvalidSetting, PushgateError

ANSWER_SECONDS = 10.0
"""A gateway waits for all its workers before it answers, about a second."""

MOST_BYTES = 1024 * 1024
_KEY = re.compile(r"[!-~]{1,512}", re.ASCII)


class GatewayAway(PushgateError):
    """A gateway did not tell its books."""


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where a gateway's private listener is.

    Attributes:
        text: as it was written: `unix:/run/pushgate/private.sock` or `http://host:port`.
        path: of the socket; "" with TCP.
        host: with TCP.
        port: with TCP.
        key: for TCP, what the gateway was given as PUSHGATE_PRIVATE_KEY; "" for none.
    """

    text: str
    path: str = ""
    host: str = ""
    port: int = 0
    key: str = ""

    @classmethod
    def parse(cls, text: str, key: str = "") -> GatewayAddress:
        """Reads an address.

        Raises:
            InvalidSetting: it is none, or the key is none.
        """
        if text.startswith("unix:") and len(text) > len("unix:"):
            return cls(text, path=text.removeprefix("unix:"))
        try:
            named = urlsplit(text)
            host, port = named.hostname, named.port
        except ValueError:
            host, port = None, None
        if (
            host is None
            or named.scheme != "http"
            or named.path not in ("", "/")
            or named.query
            or named.username is not None
            or port == 0
        ):
            raise InvalidSetting(
                f"gateway {text!r}: use unix:/path/of/private.sock or http://host:port"
            )
        if key and not _KEY.fullmatch(key):
            raise InvalidSetting("the gateways' key: use 1-512 visible characters of ASCII")
        return cls(text, host=host, port=port or 80, key=key)

    def ask(self, seconds: float = ANSWER_SECONDS) -> GatewayBooks:
        """The gateway's books, as it tells them now.

        Raises:
            GatewayAway: it does not answer, refuses, or answers something else.
        """
        connection = self._connection(seconds)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            connection.request("GET", "/ledger", headers=headers)
            answer = connection.getresponse()
            status, body = answer.status, answer.read(MOST_BYTES)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            reason = str(error) or type(error).__name__
            raise GatewayAway(f"gateway {self.text} does not answer: {reason}") from None
        finally:
            connection.close()
        if status != 200:
            hint = "; its key is in the file that --key-file names" if status == 401 else ""
            raise GatewayAway(f"gateway {self.text} answers {status}{hint}")
        try:
            return GatewayBooks.of(self.text, json_codec.decode(body))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise GatewayAway(f"gateway {self.text} answers what are no books") from None

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        if self.path:
            return _UnixConnection(self.path, seconds)
        return http.client.HTTPConnection(self.host, self.port, timeout=seconds)


@dataclass(frozen=True, slots=True)
class GatewayBooks:
    """What a gateway answered; `lua/pushgate/ledger.lua` says what it means.

    Attributes:
        name: its address.
        told: all of it.
        log: what the tail did with the log's entries.
        streams: what became of the streams.
        frames: what they got.
    """

    name: str
    told: Mapping[str, Any]
    log: Mapping[str, Any]
    streams: Mapping[str, Any]
    frames: Mapping[str, Any]

    @classmethod
    def of(cls, name: str, told: Any) -> GatewayBooks:
        """Reads an answer.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is another one than a gateway's.
        """
        books = cls(name, told, told["log"], told["streams"], told["frames"])
        # Each number of it is looked at here, where who answered wrong can still be named.
        for account in (books._of_log, books._of_streams, books._of_frames):
            account()
        return books

    @property
    def position(self) -> Cursor | None:
        """Up to where the tail has handed the log over; None when it has not begun."""
        try:
            return Cursor.parse(str(self.log.get("to")))
        except InvalidCursor:
            return None

    def accounts(self, reader: BooksReader) -> Iterator[Account]:
        """The gateway's accounts.

        Args:
            reader: of the Redis whose log the gateway is to follow.
        """
        yield self._of_log()
        yield self._of_place(reader)
        yield self._of_streams()
        yield self._of_frames()

    def _of_log(self) -> Account:
        columns = ("handed_over", "malformed", "refused", "cut")
        unknown = str(self.log.get("unknown") or "")
        return Account(
            "gateway log",
            ("entries", int(self.log.get("entries", 0))),
            tuple((_words(column), int(self.log.get(column, 0))) for column in columns),
            name=self.name,
            more="{} entries of the log were passed and nothing became of them",
            fewer="{} entries of the log were booked and Redis never gave them to it",
            unknown=unknown if "entries" not in self.log else "",
        )

    def _of_place(self, reader: BooksReader) -> Account:
        position = self.position
        unknown, given, place = "", 0, int(self.log.get("place", 0))
        if position is None:
            unknown = "the log has not been read yet"
        else:
            found = reader.place_of(position.entry_id)
            given = found.place or 0
            if found.epoch != position.epoch:
                unknown = f"it follows epoch {position.epoch}, and the log is in {found.epoch}"
            elif found.place is None:
                unknown = "the log does not reach from there to its end"
        return Account(
            "gateway place",
            ("entries given to the log up to there", given),
            (("passed", place),),
            name=self.name,
            more="Redis gave the log {} entries more than the gateway has passed",
            fewer="the gateway passed {} entries more than Redis gave the log",
            unknown=unknown,
        )

    def _of_streams(self) -> Account:
        streams = self.streams
        return Account(
            "gateway streams",
            ("ended", int(streams["ended"])),
            (("audited", int(streams["audited"])), ("unaudited", int(streams["unaudited"]))),
            name=self.name,
            more="{} streams ended and nobody looked at what they got",
            fewer="{} streams were looked at more than once",
            beside=(
                ("open", int(streams["open"])),
                ("lost with killed workers", int(streams["lost"])),
            ),
        )

    def _of_frames(self) -> Account:
        frames = self.frames
        return Account(
            "gateway frames",
            (
                "owed or come again",
                int(frames["owed"]) + int(frames["again"]),
            ),
            (("came", int(frames["came"])),),
            name=self.name,
            more="{} frames never came to streams that they were owed to",
            fewer="{} frames came that were owed to nobody",
            beside=(("live", int(frames["live"])), ("replayed", int(frames["replayed"]))),
        )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("gateway", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _words(column: str) -> str:
    return column.replace("_", " ")
