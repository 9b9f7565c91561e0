"""Many EventSource subscribers in one process, cheap enough not to be what is measured.

Frames are those of `frames.py`: each counts what its subscriber should have had, so that a lost,
repeated or misplaced one is seen at once.
"""

from __future__ import annotations

import gc
import heapq
import re
import resource
import select
import socket
import struct
import time
from array import array
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

_NUMBER = re.compile(rb'"n":(\d+)')
_MILLISECONDS = re.compile(rb"id: [0-9a-f]{8}\.(\d+)-\d+\nevent: ")
_RETRY = re.compile(rb"retry: (\d+)\n")
_READ_BYTES = 65536
_CONNECT_SECONDS = 10
# For who sleeps: many pings.
_WAKING_BYTES = 4096
_SO_TIMESTAMPNS = 35
_TIMESTAMP = struct.Struct("@qq")

# What Chromium sends with an EventSource of a Django site, for it stays in the gateway's memory.
_HEADERS = "\r\n".join(
    (
        "Host: push.site.example",
        "Connection: keep-alive",
        'sec-ch-ua-platform: "Linux"',
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/142.0.0.0 Safari/537.36",
        "Accept: text/event-stream",
        'sec-ch-ua: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
        "Cache-Control: no-cache",
        "sec-ch-ua-mobile: ?0",
        "Origin: https://www.site.example",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Mode: cors",
        "Sec-Fetch-Dest: empty",
        "Referer: https://www.site.example/threads/17/",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-GB,en;q=0.9",
        "Cookie: csrftoken=1sUYKxRJOAsOTAuLYTCXMxTqEzQzQ2gl; "
        "sessionid=lx0z8i3trmdxs7kqq3c7lcdx5qcnv6f1",
        "",
    )
).encode()


@dataclass(frozen=True)
class Share:
    """What one process is told.

    Attributes:
        port: of the gateway, on 127.0.0.1.
        source: the address of 127.0.0.0/8 they connect from; each has ports of its own.
        targets: the request target of each subscriber.
        begins_with: what must have come for a subscription to have begun.
        at_once: so many may be about to connect at a time.
        follows: whether those whose stream ends come back, as a browser does.
        timed: whether to note when the kernel had each frame, and when we read it.
    """

    port: int
    source: str
    targets: tuple[str, ...]
    begins_with: bytes
    at_once: int = 128
    follows: bool = False
    timed: bool = False


@dataclass
class Findings:
    """What the subscribers of one or several processes saw.

    Attributes:
        frames: how many came.
        wrong: frames that were lost, came twice, or in another order.
        signals: resets and refusals.
        drops: streams that ended.
        arrival_ms: from a frame's log entry to the kernel's having its bytes for the subscriber.
        read_ms: from the log entry to the subscriber's having read it.
        away_seconds: of each return, from the end of the stream to the beginning of the next.
        late_seconds: that, less what the gateway had told the client to wait.
    """

    frames: int = 0
    wrong: int = 0
    signals: int = 0
    drops: int = 0
    arrival_ms: array[float] = field(default_factory=lambda: array("d"))
    read_ms: array[float] = field(default_factory=lambda: array("d"))
    away_seconds: array[float] = field(default_factory=lambda: array("d"))
    late_seconds: array[float] = field(default_factory=lambda: array("d"))

    def add(self, other: Findings) -> None:
        """Take in what others saw."""
        self.frames += other.frames
        self.wrong += other.wrong
        self.signals += other.signals
        self.drops += other.drops
        self.arrival_ms += other.arrival_ms
        self.read_ms += other.read_ms
        self.away_seconds += other.away_seconds
        self.late_seconds += other.late_seconds


class Subscriber:
    """One connection, and what it has had."""

    __slots__ = (
        "connection",
        "dropped_at",
        "frames",
        "is_open",
        "last_id",
        "rest",
        "retry_seconds",
        "target",
        "told_to_wait",
    )

    def __init__(self, target: str) -> None:
        self.target = target
        self.connection: socket.socket | None = None
        self.rest = b""
        self.is_open = False
        self.frames = 0
        self.last_id = b""
        self.retry_seconds = 3.0
        self.told_to_wait = 0.0
        self.dropped_at = 0.0


class Attendance:
    """The subscribers of one process, and what their parent asks of them over a pipe.

    The parent sends `(what, amount)` and is answered when there are so many: `open` subscribers,
    `frames`, `drops`. `begin`, on which they connect, `sleep`, after which a few bytes wake nobody,
    and `findings` are answered at once. The end of the pipe ends all.
    """

    def __init__(self, share: Share, pipe: Connection) -> None:
        self._share = share
        self._pipe = pipe
        self._epoll = select.epoll()
        self._by_descriptor: dict[int, Subscriber] = {}
        self._waiting = deque(Subscriber(target) for target in share.targets)
        self._returning: list[tuple[float, int, Subscriber]] = []
        self._returns = 0
        self._connecting = 0
        self._open = 0
        self._begun = False
        self._asked: tuple[str, int] | None = None
        self.findings = Findings()

    def run(self) -> None:
        """Attend until the parent ends the pipe."""
        pipe = self._pipe.fileno()
        self._epoll.register(pipe, select.EPOLLIN)
        while True:
            self._connect_some()
            for descriptor, _ in self._epoll.poll(self._seconds_to_wait(), 256):
                if descriptor != pipe:
                    self._read(self._by_descriptor[descriptor])
                    continue
                try:
                    self._asked = self._pipe.recv()
                except EOFError:
                    return
            self._answer()

    def _seconds_to_wait(self) -> float | None:
        if self._begun and self._waiting and self._connecting < self._share.at_once:
            return 0
        if self._returning:
            return max(0.0, self._returning[0][0] - time.monotonic())
        return None

    def _answer(self) -> None:
        if self._asked is None:
            return
        what, amount = self._asked
        reached = {
            "open": self._open,
            "frames": self.findings.frames,
            "drops": self.findings.drops,
            "findings": amount,
            "begin": amount,
            "sleep": amount,
        }
        if reached[what] >= amount:
            self._asked = None
            self._begun = True
            if what == "sleep":
                self._sleep()
            self._pipe.send(self.findings if what == "findings" else reached[what])

    def _sleep(self) -> None:
        for one in self._by_descriptor.values():
            if one.connection is not None:
                one.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _WAKING_BYTES)

    def _connect_some(self) -> None:
        if not self._begun:
            return
        now = time.monotonic()
        while self._returning and self._returning[0][0] <= now:
            self._waiting.append(heapq.heappop(self._returning)[2])
        # A few at a time, so that those who are there are heard in between.
        for _ in range(min(len(self._waiting), self._share.at_once - self._connecting, 16)):
            self._connect(self._waiting.popleft())

    def _connect(self, one: Subscriber) -> None:
        connection = socket.socket()
        connection.settimeout(_CONNECT_SECONDS)
        # The port is chosen when the other end is known, so that each address has all of them.
        connection.setsockopt(socket.IPPROTO_IP, 24, 1)
        connection.bind((self._share.source, 0))
        if self._share.timed:
            connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        cursor = b"Last-Event-ID: " + one.last_id + b"\r\n" if one.last_id else b""
        try:
            connection.connect(("127.0.0.1", self._share.port))
            connection.sendall(
                b"GET " + one.target.encode() + b" HTTP/1.1\r\n" + _HEADERS + cursor + b"\r\n"
            )
        except OSError:
            connection.close()
            self._come_back(one)
            return
        connection.setblocking(False)
        one.connection, one.rest, one.is_open = connection, b"", False
        self._connecting += 1
        self._by_descriptor[connection.fileno()] = one
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _come_back(self, one: Subscriber) -> None:
        one.told_to_wait += one.retry_seconds
        self._returns += 1
        due_at = time.monotonic() + one.retry_seconds
        heapq.heappush(self._returning, (due_at, self._returns, one))

    def _drop(self, one: Subscriber) -> None:
        assert one.connection is not None, "who is heard is connected"
        del self._by_descriptor[one.connection.fileno()]
        one.connection.close()
        one.connection = None
        if one.is_open:
            self._open -= 1
            self.findings.drops += 1
            one.dropped_at, one.told_to_wait = time.monotonic(), 0.0
        else:
            self._connecting -= 1
        if self._share.follows:
            self._come_back(one)

    def _read(self, one: Subscriber) -> None:
        assert one.connection is not None, "who is heard is connected"
        arrived = 0.0
        try:
            if self._share.timed:
                data, ancillary, _, _ = one.connection.recvmsg(_READ_BYTES, 64)
                for _, _, stamp in ancillary:
                    seconds, nanoseconds = _TIMESTAMP.unpack(stamp)
                    arrived = seconds + nanoseconds / 1e9
            else:
                data = one.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(one)
            return
        if one.rest:
            data = one.rest + data
        if not one.is_open:
            if self._share.begins_with not in data:
                one.rest = data
                return
            self._begin(one, data)
        end = data.rfind(b"\n\n") + 2
        one.rest = data[end:] if end > 1 else data
        if end > 1:
            self._take(one, data, end, arrived)

    def _begin(self, one: Subscriber, data: bytes) -> None:
        one.is_open = True
        self._connecting -= 1
        self._open += 1
        if found := _RETRY.search(data):
            one.retry_seconds = int(found[1]) / 1000
        if one.dropped_at:
            away = time.monotonic() - one.dropped_at
            self.findings.away_seconds.append(away)
            self.findings.late_seconds.append(away - one.told_to_wait)

    def _take(self, one: Subscriber, data: bytes, end: int, arrived: float) -> None:
        for number in map(int, _NUMBER.findall(data, 0, end)):
            one.frames += 1
            self.findings.frames += 1
            if number != one.frames:
                self.findings.wrong += 1
                one.frames = number
        if self._share.follows:
            at = data.rfind(b"id: ", 0, end)
            if at >= 0:
                one.last_id = data[at + 4 : data.index(b"\n", at)]
            self.findings.signals += data.count(b"event: reset", 0, end)
            self.findings.signals += data.count(b"event: error", 0, end)
        if self._share.timed:
            now_ms = time.time() * 1000
            for milliseconds in map(int, _MILLISECONDS.findall(data, 0, end)):
                self.findings.arrival_ms.append(arrived * 1000 - milliseconds)
                self.findings.read_ms.append(now_ms - milliseconds)


def attend(share: Share, pipe: Connection) -> None:
    """Be the subscribers of a share; a child process begins here."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Thousands of objects that live as long as we do: looking for garbage among them takes time.
    gc.disable()
    with suppress(KeyboardInterrupt, BrokenPipeError):
        Attendance(share, pipe).run()
