"""One link between two parts: takes connections for the second and passes their bytes on, or
does to them what its condition says.

It knows no protocol: what a client sends is a request, what it gets is a reply.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.faults.breaking.condition import Condition
from tests.faults.breaking.flow import BUFFER_BYTES, Flow

MOST_CONNECTIONS = 4096
"""What comes beyond is reset: half-open connections must not use up all descriptors."""

QUIET_SECONDS = 0.02
"""A request that comes in several pieces is over when no byte has come for so long."""
_MOST_SECONDS_UNTIL_QUIET = 1.0
_MOST_SECONDS_TO_SEND = 10.0
_CONNECT_SECONDS = 10.0

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Address = int | Path
"""A port of 127.0.0.1, or a socket's path."""


@dataclass(slots=True)
class LinkCounts:
    """What a link did since it was made.

    Attributes:
        accepted: connections that it took.
        open: those that are open now.
        struck: requests or replies that were lost or truncated.
    """

    accepted: int = 0
    open: int = 0
    struck: int = 0


class Link:
    """Listens at one address for what is at another.

    When nobody listens there, a connection is taken and then reset.
    """

    def __init__(self, name: str, listen: Address, to: Address, seed: int) -> None:
        self.condition = Condition()
        self.random = random.Random(f"{seed}:{name}")
        self.counts = LinkCounts()
        self.buffer = memoryview(bytearray(BUFFER_BYTES))
        self._listen = listen
        self._to = to
        self._left = 0
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def open(self) -> None:
        """Take connections from now on; do nothing if it does so already."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        if isinstance(self._listen, Path):
            self._server = await loop.create_unix_server(self._side, self._listen, backlog=1024)
        else:
            self._server = await loop.create_server(
                self._side, "127.0.0.1", self._listen, backlog=1024
            )

    async def set(self, condition: Condition) -> None:
        """Change what is done; connections that lack bytes, or were silent, are reset."""
        self.condition = condition
        self._left = condition.count
        for connection in tuple(self._connections):
            if connection.is_damaged or condition.mode == "cut":
                connection.reset()
            elif condition.mode == "half_open":
                connection.freeze()
            else:
                connection.hurry()
        if condition.mode == "cut":
            if self._server is not None:
                self._server.close()
                self._server = None
        else:
            await self.open()

    def take(self, data: bytes = b"") -> bool:
        """Whether this is one of the requests or replies to strike; it is then counted off."""
        if self._left <= 0 or not self.is_meant(data):
            return False
        self._left -= 1
        self.counts.struck += 1
        return True

    def is_meant(self, request: bytes) -> bool:
        """Whether the condition is one for this request."""
        return not request or self.condition.containing.encode() in request

    async def reach(self, side: Side) -> None:
        """Connect a side to the part behind the link.

        Raises:
            OSError: it does not answer.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_SECONDS):
            if isinstance(self._to, Path):
                await loop.create_unix_connection(lambda: side, str(self._to))
            else:
                there = socket.socket()
                # So that a slow reader still looks slow to who sends.
                there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
                there.setblocking(False)
                try:
                    await loop.sock_connect(there, ("127.0.0.1", self._to))
                    await loop.create_connection(lambda: side, sock=there)
                except BaseException:
                    there.close()
                    raise

    def opened(self, connection: _Connection) -> None:
        """Count a connection in."""
        self._connections.add(connection)
        self.counts.accepted += 1
        self.counts.open = len(self._connections)

    def closed(self, connection: _Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        self.counts.open = len(self._connections)

    def _side(self) -> Side:
        connection = _Connection(self)
        return connection.client


class Side(asyncio.BufferedProtocol):
    """One of a connection's two sockets."""

    transport: asyncio.Transport | None = None

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._holders: set[str] = set()
        self.other: Side
        self.has_ended = False
        self.was_told_the_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(BUFFER_BYTES)
        own = transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        if self._holders:
            transport.pause_reading()
        self._connection.made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        # One for all: it is filled and taken from within one turn of the loop.
        return self._connection.link.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.received(self, bytes(self._connection.link.buffer[:nbytes]))

    def eof_received(self) -> bool:
        self.has_ended = True
        self._connection.ended(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost()

    def pause_writing(self) -> None:
        self.other.hold("full")

    def resume_writing(self) -> None:
        self.other.release("full")

    def hold(self, reason: str) -> None:
        """Read no more until every reason not to is gone."""
        self._holders.add(reason)
        if self.transport is not None:
            self.transport.pause_reading()

    def release(self, reason: str) -> None:
        """Read again, unless there is another reason not to."""
        self._holders.discard(reason)
        # The transport would report the same end a second time.
        if not self._holders and not self.has_ended and self.transport is not None:
            self.transport.resume_reading()

    @property
    def is_behind(self) -> bool:
        """Whether something is written that the socket has not taken yet."""
        return self.transport is not None and bool(self.transport.get_write_buffer_size())

    def write(self, data: bytes) -> None:
        """Send; what the socket does not take is kept, and the other side held."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def write_end(self) -> None:
        """Say that no more comes; what was written is sent first."""
        if self.transport is None or self.transport.is_closing():
            return
        # A socket that was reset just now cannot be shut down any more.
        with suppress(OSError):
            self.transport.write_eof()
        self.was_told_the_end = True
        if self.other.was_told_the_end:
            self._connection.close()

    def reset(self) -> None:
        """Drop what is not sent yet, and let the peer see a reset."""
        if self.transport is not None:
            if not self.transport.is_closing():
                own = self.transport.get_extra_info("socket")
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()

    def close(self) -> None:
        """Close in good order once all is sent."""
        if self.transport is not None:
            self.transport.close()


class _Connection:
    """A connection through a link: the client's side, the server's, and the two ways between.

    Attributes:
        is_damaged: bytes of it have vanished or may have; it can only be reset.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.is_damaged = False
        self.client = Side(self)
        self.server = Side(self)
        self.client.other, self.server.other = self.server, self.client
        self._requests = Flow(self.client, self.server)
        self._replies = Flow(self.server, self.client)
        self._is_victim = False
        self._is_armed = False
        self._is_over = False
        self._connecting: asyncio.Task[None] | None = None
        self._quiet: asyncio.TimerHandle | None = None
        self._quiet_at_the_latest = 0.0

    def made(self, side: Side) -> None:
        """A side's socket is there."""
        if side is self.server:
            if self._is_over:
                side.reset()
            return
        self.link.opened(self)
        if self.link.counts.open > MOST_CONNECTIONS or self.link.condition.mode == "cut":
            self.reset()
        elif self.link.condition.mode == "half_open":
            self.freeze()
        else:
            self.client.hold("connecting")
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self.link.reach(self.server)
        except (OSError, TimeoutError):
            self.reset()
        else:
            self.client.release("connecting")

    def flow_from(self, side: Side) -> Flow:
        """The way that a side's bytes take."""
        return self._requests if side is self.client else self._replies

    def ended(self, side: Side) -> None:
        """A side sends no more: tell the other, behind what is still on its way to it."""
        if self._is_over:
            self.reset()
        else:
            self.flow_from(side).end()

    def received(self, side: Side, data: bytes) -> None:
        """Pass bytes on as the condition says."""
        if self._is_over:
            return
        if self._quiet is not None:
            self._close_when_quiet()
        left = self._request(data) if side is self.client else self._reply(data)
        if left:
            self.flow_from(side).put(left, self.link.condition, self.link.random)

    def _request(self, data: bytes) -> bytes:
        link, mode = self.link, self.link.condition.mode
        if mode == "one_way" and link.condition.passes == "replies":
            self.is_damaged = True
            return b""
        if mode == "lose_requests" and (self._is_victim or link.take(data)):
            self.is_damaged = self._is_victim = True
            self._close_when_quiet()
            return b""
        if mode == "lose_replies" and not self._is_victim and link.take(data):
            self.is_damaged = self._is_victim = True
        if mode == "truncate" and link.condition.containing and link.is_meant(data):
            self._is_armed = True
        return data

    def _reply(self, data: bytes) -> bytes:
        link, mode = self.link, self.link.condition.mode
        if self._is_victim:
            # The next bytes may be those of a request that is not whole yet.
            self._close_when_quiet()
            return b""
        if mode == "one_way" and link.condition.passes == "requests":
            self.is_damaged = True
            return b""
        if mode == "truncate" and (self._is_armed or not link.condition.containing) and link.take():
            self.is_damaged = self._is_victim = True
            self._close_when_quiet()
            return data[: link.random.randrange(1, len(data))] if len(data) > 1 else b""
        return data

    def _close_when_quiet(self) -> None:
        loop = asyncio.get_running_loop()
        if self._quiet is None:
            self._quiet_at_the_latest = loop.time() + _MOST_SECONDS_UNTIL_QUIET
        else:
            self._quiet.cancel()
        at = min(loop.time() + QUIET_SECONDS, self._quiet_at_the_latest)
        self._quiet = loop.call_at(at, self._close_if_quiet)

    def _close_if_quiet(self) -> None:
        is_late = asyncio.get_running_loop().time() >= self._quiet_at_the_latest
        if self.server.is_behind and not is_late:
            self._close_when_quiet()
        else:
            self._abandon()

    def _abandon(self) -> None:
        """Close the client's side; the server may answer what it was asked, to nobody.

        A server that finds its answers unwelcome forgets the requests that it has not read yet.
        """
        self._finish()
        self.client.close()
        self.server.write_end()
        asyncio.get_running_loop().call_later(_MOST_SECONDS_TO_SEND, self.reset)

    def freeze(self) -> None:
        """Let nothing pass from now on."""
        self.is_damaged = True
        for side in self._sides():
            side.hold("half open")
        self._requests.stop()
        self._replies.stop()

    def hurry(self) -> None:
        """Send at once what was held back."""
        self._requests.hurry()
        self._replies.hurry()

    def lost(self) -> None:
        """A socket is gone: so is the other, at once unless it is being closed in good order."""
        if not self._is_over:
            self.reset()

    def close(self) -> None:
        """Close both sides once all that was written to them is sent."""
        self._finish()
        for side in self._sides():
            side.close()
        asyncio.get_running_loop().call_later(_MOST_SECONDS_TO_SEND, self.reset)

    def reset(self) -> None:
        """Reset both sides."""
        self._finish()
        for side in self._sides():
            side.reset()

    def _sides(self) -> Iterator[Side]:
        yield self.client
        yield self.server

    def _finish(self) -> None:
        self._is_over = True
        self.link.closed(self)
        self._requests.stop()
        self._replies.stop()
        if self._quiet is not None:
            self._quiet.cancel()
