"""An EventSource as a browser has one, over plain sockets: an incremental parser and a client.

Knows Server-Sent Events and nothing of Pushgate. Sockets are those of the standard library, so that
gevent makes them cooperative when it has patched them.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MOST_UNFINISHED_BYTES = 1024 * 1024
"""Of a block that does not end, of an answer's head, of a chunk's size: then it is no stream."""


class EventSourceError(Exception):
    """The server's answer is not an event stream."""


def _check_bound(size: int, what: str) -> None:
    if size > MOST_UNFINISHED_BYTES:
        raise EventSourceError(f"{what} does not end within {MOST_UNFINISHED_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One event.

    Attributes:
        type: `message` when the block named none.
        data: the data lines joined by a newline.
        id: the last event id when the event was dispatched.
        received_at: `time.time()` of the read that brought its end.
    """

    type: str
    data: str
    id: str
    received_at: float


@dataclass(slots=True)
class EventSourceParser:
    """Takes bytes as they come and gives events, as the HTML standard says.

    Attributes:
        last_event_id: what the browser would send with its next connect.
        retry_ms: how long it would wait before that; None until the server said so.
        blocks: blocks ended so far, those without an event (an id alone) too.
        comments: comment lines so far (pings).
    """

    last_event_id: str = ""
    retry_ms: int | None = None
    blocks: int = 0
    comments: int = 0
    _buffer: bytes = b""
    _after_carriage_return: bool = False
    _type: str = ""
    _data: list[str] = field(default_factory=list)
    _data_size: int = 0
    _id: str | None = None
    _any_field: bool = False

    def feed(self, data: bytes) -> list[ReceivedEvent]:
        """Take what was received and return the events it completed.

        Raises:
            EventSourceError: a block is longer than any of ours.
        """
        events: list[ReceivedEvent] = []
        if self._after_carriage_return and data.startswith(b"\n"):
            data = data[1:]
        if data:
            self._after_carriage_return = data.endswith(b"\r")
        self._buffer += data
        if b"\r" in self._buffer:
            self._buffer = self._buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        _check_bound(len(self._buffer) + self._data_size, "a block")
        if b"\n" not in self._buffer:
            return events
        *lines, self._buffer = self._buffer.split(b"\n")
        now = time.time()
        for line in lines:
            if line:
                self._take_line(line)
            else:
                self._end_block(events, now)
        return events

    def forget_unfinished(self) -> None:
        """Forget the block that was being received when the connection broke."""
        self._buffer, self._after_carriage_return = b"", False
        self._begin_block()

    def _begin_block(self) -> None:
        self._type, self._data, self._id, self._any_field = "", [], None, False
        self._data_size = 0

    def _take_line(self, line: bytes) -> None:
        name, _, value_bytes = line.partition(b":")
        if not name:
            self.comments += 1
            return
        self._any_field = True
        value = value_bytes.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"data":
            self._data.append(value)
            self._data_size += len(value)
        elif name == b"event":
            self._type = value
        elif name == b"id":
            if "\0" not in value:
                self._id = value
        elif name == b"retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value)

    def _end_block(self, events: list[ReceivedEvent], now: float) -> None:
        if self._id is not None:
            self.last_event_id = self._id
        if self._any_field:
            self.blocks += 1
        if self._data:
            events.append(
                ReceivedEvent(
                    self._type or "message", "\n".join(self._data), self.last_event_id, now
                )
            )
        self._begin_block()


class _Chunks:
    """Takes the bytes of a chunked body and gives what is in the chunks."""

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        self._buffer += data
        parts: list[bytes] = []
        while self._buffer and not self.ended:
            if self._left > 2:
                part = self._buffer[: self._left - 2]
                parts.append(part)
                self._buffer = self._buffer[len(part) :]
                self._left -= len(part)
                if self._left > 2:
                    break
            if self._left:
                end = self._buffer[: self._left]
                self._buffer = self._buffer[len(end) :]
                self._left -= len(end)
                if self._left:
                    break
            line, newline, rest = self._buffer.partition(b"\r\n")
            if not newline:
                _check_bound(len(line), "a chunk's size")
                break
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                raise EventSourceError(f"a chunk begins with {line[:40]!r}") from None
            self._buffer = rest
            self._left = size + 2 if size else 0
            self.ended = size == 0
        return b"".join(parts)


class EventSourceClient:
    """One subscription that comes back by its last event id when it is asked to.

    Args:
        url: `http://host:port/path`.
        last_event_id: sent with the first connect when not empty.
        headers: sent with every connect.
        timeout_seconds: of a connect, and of a read that brings nothing (not even a ping).
        source_address: the local address to connect from; more addresses give more ports.

    Attributes:
        status: of the last answer.
        answer_headers: of the last answer, names in lower case.
        parser: what has been received; kept over reconnects.
    """

    def __init__(
        self,
        url: str,
        last_event_id: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 30,
        source_address: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 80
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = dict(headers or {})
        self._timeout_seconds = timeout_seconds
        self._source_address = source_address
        self._socket: socket.socket | None = None
        self._chunks: _Chunks | None = None
        self.status = 0
        self.answer_headers: dict[str, str] = {}
        self.parser = EventSourceParser(last_event_id)

    @property
    def connected(self) -> bool:
        """Whether the stream is open as far as we know."""
        return self._socket is not None

    @property
    def last_event_id(self) -> str:
        """What the next connect brings along."""
        return self.parser.last_event_id

    def connect(self) -> list[ReceivedEvent]:
        """Connect, read the answer's head, and return the events that came right with it.

        Raises:
            EventSourceError: the answer is not a stream; `status` says what it is.
            OSError: the connection failed.
        """
        self.close()
        source = (self._source_address, 0) if self._source_address else None
        self._socket = socket.create_connection(
            (self._host, self._port), self._timeout_seconds, source
        )
        lines = [
            f"GET {self._target} HTTP/1.1",
            f"Host: {self._host}:{self._port}",
            "Accept: text/event-stream",
            "Cache-Control: no-store",
            *(f"{name}: {value}" for name, value in self._headers.items()),
        ]
        if self.parser.last_event_id:
            lines.append(f"Last-Event-ID: {self.parser.last_event_id}")
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            data = self._socket.recv(65536)
            if not data:
                self.close()
                raise EventSourceError("the connection ended before the answer's head")
            head += data
            _check_bound(len(head), "the answer's head")
        head, _, rest = head.partition(b"\r\n\r\n")
        self._read_head(head)
        self.parser.forget_unfinished()
        kind = self.answer_headers.get("content-type", "")
        if self.status != 200 or not kind.startswith("text/event-stream"):
            self.close()
            raise EventSourceError(f"the answer is {self.status} {kind}")
        chunked = self.answer_headers.get("transfer-encoding", "") == "chunked"
        self._chunks = _Chunks() if chunked else None
        return self._take(rest)

    def _read_head(self, head: bytes) -> None:
        first, *others = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1])
        self.answer_headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in others)
        }

    def _take(self, data: bytes) -> list[ReceivedEvent]:
        if self._chunks is None:
            return self.parser.feed(data)
        events = self.parser.feed(self._chunks.feed(data))
        if self._chunks.ended:
            self.close()
        return events

    def read(self, timeout_seconds: float | None = None) -> list[ReceivedEvent]:
        """Read once and return the events it completed; `connected` turns false at the end.

        Raises:
            TimeoutError: nothing came in time; the stream is still open.
            OSError: the connection broke.
        """
        if self._socket is None:
            raise EventSourceError("not connected")
        self._socket.settimeout(timeout_seconds or self._timeout_seconds)
        try:
            data = self._socket.recv(262144)
        except TimeoutError:
            raise
        except OSError:
            self.close()
            raise
        if not data:
            self.close()
            return []
        return self._take(data)

    def events(self, deadline_seconds: float) -> Iterator[ReceivedEvent]:
        """Yield events of this connection until it ends or the deadline passes."""
        until = time.monotonic() + deadline_seconds
        while self._socket is not None:
            left = until - time.monotonic()
            if left <= 0:
                return
            try:
                received = self.read(left)
            except TimeoutError:
                return
            yield from received

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> EventSourceClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
