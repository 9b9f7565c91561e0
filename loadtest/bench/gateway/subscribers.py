"""Many EventSource subscribers in one process, cheap enough not to be what is measured.

Frames are those of `frames.py`: each counts what its subscriber should have had, so that every
lost, repeated or misplaced one is seen.
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
from collections import deque
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from loadtest.bench.gateway.cuts import Cuts
from loadtest.bench.gateway.findings import RELOAD, Findings
from loadtest.bench.gateway.subscriber import Newest, Share, Subscriber

_NUMBER = re.compile(rb'"n":(\d+)')
_MILLISECONDS = re.compile(rb"id: [0-9a-f]{8}\.(\d+)-\d+\nevent: ")
_RETRY = re.compile(rb"retry: (\d+)\n")
_STATUS = re.compile(rb"HTTP/1\.1 (\d+)")
_SIGNAL = re.compile(rb'event: (reset|error)\ndata: \{(?:"reason": ?"(\w+)")?')
_READ_BYTES = 65536
_CONNECT_SECONDS = 10
_CONNECTS_A_TURN = 16
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


class Attendance:
    """The subscribers of one process, and what their parent asks of them over a pipe.

    The parent sends `(number, what, amount)` and is answered `(number, answer)`, a question at a
    time: the next one takes the place of one that has not been answered.

    Answered when there are so many: `open` subscribers, `frames`; when each subscriber has had so
    many `drops`, or the frame of that number: `newest`. Answered at once: `begin`, on which they
    connect; `cut`, on which (0: no longer) connections are cut; `sleep`, after which a few bytes
    wake nobody; `findings`, with frames up to that number due. The end of the pipe ends all.
    """

    def __init__(self, share: Share, pipe: Connection, newest: Newest) -> None:
        self._share = share
        self._pipe = pipe
        self._newest = newest
        self._epoll = select.epoll()
        self._by_descriptor: dict[int, Subscriber] = {}
        self._all = [Subscriber(place, target) for place, target in enumerate(share.targets)]
        self._waiting = deque(self._all)
        # When, and whose turn it is then; of a cut also which connection it is for.
        self._returning: list[tuple[float, int, Subscriber]] = []
        self._ending: list[tuple[float, int, int, Subscriber]] = []
        self._timers = 0
        self._connecting = 0
        self._open = 0
        self._begun = False
        self._cuts: Cuts | None = None
        self._asked: tuple[int, str, int] | None = None
        self.findings = Findings()

    def run(self) -> None:
        """Attend until the parent ends the pipe."""
        pipe = self._pipe.fileno()
        self._epoll.register(pipe, select.EPOLLIN)
        while True:
            self._cut_some()
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

    def found(self, newest: int = 0) -> Findings:
        """Return what was seen until now; frames up to a number should have come."""
        return replace(self.findings, lost=sum(one.lacks(newest) for one in self._all))

    def _seconds_to_wait(self) -> float | None:
        if self._begun and self._waiting and self._connecting < self._share.at_once:
            return 0
        timers = [queue[0][0] for queue in (self._returning, self._ending) if queue]
        return max(0.0, min(timers) - time.monotonic()) if timers else None

    def _answer(self) -> None:
        if self._asked is None:
            return
        number, what, amount = self._asked
        answer: Any = self._act(what, amount)
        if answer is None:
            answer = self._count(what)
            if answer < amount:
                return
        self._asked = None
        self._pipe.send((number, answer))

    def _act(self, what: str, amount: int) -> Findings | bool | None:
        """Do what was asked and return the answer; None when something is to be counted."""
        match what:
            case "findings":
                return self.found(amount)
            case "begin":
                self._begun = True
            case "sleep":
                self._sleep()
            case "cut":
                self._cuts = self._share.cuts if amount else None
                self._ending.clear()
                for one in self._by_descriptor.values():
                    self._set_end(one)
            case _:
                return None
        return True

    def _count(self, what: str) -> int:
        match what:
            case "open":
                return self._open
            case "frames":
                return self.findings.frames
            case "drops":
                return min(one.drops for one in self._all)
            case _:
                assert what == "newest", what
                return min(one.newest for one in self._all)

    def _sleep(self) -> None:
        for one in self._by_descriptor.values():
            if one.connection is not None:
                one.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _WAKING_BYTES)

    def _set_end(self, one: Subscriber) -> None:
        """Draw when its connection will be cut."""
        if self._cuts:
            seconds = self._cuts.lasts_seconds(self._share.source, one.place, one.connects)
            self._timers += 1
            due_at = time.monotonic() + seconds
            heapq.heappush(self._ending, (due_at, self._timers, one.connects, one))

    def _cut_some(self) -> None:
        now = time.monotonic()
        while self._ending and self._ending[0][0] <= now:
            _, _, connects, one = heapq.heappop(self._ending)
            if one.connection is not None and one.connects == connects and self._cuts:
                self.findings.cuts += 1
                self._close(one)
                self._come_back(one, self._cuts.away_seconds)

    def _connect_some(self) -> None:
        if not self._begun:
            return
        now = time.monotonic()
        # A few at a time, so that those who are there are heard in between.
        for _ in range(_CONNECTS_A_TURN):
            # Who comes back waits for nobody else.
            if self._returning and self._returning[0][0] <= now:
                self._connect(heapq.heappop(self._returning)[2])
            elif self._waiting and self._connecting < self._share.at_once:
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
            newest = self._newest.value
            one.due = newest if one.last_id and newest > one.newest else 0
            one.asked_at = time.monotonic()
            connection.sendall(
                b"GET " + one.target.encode() + b" HTTP/1.1\r\n" + _HEADERS + cursor + b"\r\n"
            )
        except OSError:
            connection.close()
            self.findings.failures += 1
            self._come_back(one, one.retry_seconds)
            return
        connection.setblocking(False)
        one.connection, one.rest, one.is_open = connection, b"", False
        one.connects += 1
        self._connecting += 1
        self._by_descriptor[connection.fileno()] = one
        self._epoll.register(connection.fileno(), select.EPOLLIN)
        self._set_end(one)

    def _come_back(self, one: Subscriber, seconds: float) -> None:
        one.told_to_wait += seconds
        self._timers += 1
        heapq.heappush(self._returning, (time.monotonic() + seconds, self._timers, one))

    def _close(self, one: Subscriber) -> None:
        assert one.connection is not None, "who is heard is connected"
        del self._by_descriptor[one.connection.fileno()]
        one.connection.close()
        one.connection = None
        if one.is_open:
            self._open -= 1
            one.dropped_at, one.told_to_wait = time.monotonic(), 0.0
        else:
            self._connecting -= 1

    def _drop(self, one: Subscriber) -> None:
        """The server has ended its stream, or not begun one."""
        self._close(one)
        if one.is_open:
            one.drops += 1
            self.findings.drops += 1
        elif one.rest:
            self._note_refusal(one)
        else:
            self.findings.failures += 1
        if self._share.follows:
            self._come_back(one, one.retry_seconds)

    def _note_refusal(self, one: Subscriber) -> None:
        if found := _RETRY.search(one.rest):
            one.retry_seconds = int(found[1]) / 1000
        status = _STATUS.match(one.rest)
        if not status or status[1] != b"200":
            self.findings.refusals[f"status {status[1].decode() if status else 'none'}"] += 1
        elif b"event: error" in one.rest:
            self._note_signals(one.rest)
        else:
            self.findings.refusals[RELOAD] += 1

    def _note_signals(self, data: bytes) -> None:
        for kind, reason in _SIGNAL.findall(data):
            counts = self.findings.resets if kind == b"reset" else self.findings.refusals
            counts[reason.decode()] += 1

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
            now = time.monotonic()
            self.findings.back_at.append(now)
            self.findings.away_seconds.append(now - one.dropped_at)
            self.findings.late_seconds.append(now - one.dropped_at - one.told_to_wait)

    def _take(self, one: Subscriber, data: bytes, end: int, arrived: float) -> None:
        before = one.newest
        for number in map(int, _NUMBER.findall(data, 0, end)):
            self.findings.frames += 1
            if number == one.newest + 1:
                one.newest = number
            else:
                self._note_misplaced(one, number)
        if self._share.follows:
            at = data.rfind(b"id: ", 0, end)
            if at >= 0:
                one.last_id = data[at + 4 : data.index(b"\n", at)]
            if data.find(b"event: reset", 0, end) >= 0 or data.find(b"event: error", 0, end) >= 0:
                self._note_signals(data[:end])
        if one.due:
            self._note_replay(one, before)
        elif self._share.timed:
            now_ms = time.time() * 1000
            for milliseconds in map(int, _MILLISECONDS.findall(data, 0, end)):
                self.findings.arrival_ms.append(arrived * 1000 - milliseconds)
                self.findings.read_ms.append(now_ms - milliseconds)

    def _note_misplaced(self, one: Subscriber, number: int) -> None:
        if number > one.newest:
            one.missing = (one.missing or set()).union(range(one.newest + 1, number))
            one.newest = number
        elif one.missing and number in one.missing:
            one.missing.remove(number)
            self.findings.out_of_order += 1
        else:
            self.findings.twice += 1

    def _note_replay(self, one: Subscriber, before: int) -> None:
        """It resumes, and had frames up to `before`; what comes with the last due one is left."""
        self.findings.replayed += max(0, min(one.newest, one.due) - before)
        if one.newest >= one.due:
            self.findings.replay_ms.append((time.monotonic() - one.asked_at) * 1000)
            one.due = 0


def attend(share: Share, pipe: Connection, newest: Newest) -> None:
    """Be the subscribers of a share; a child process begins here."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Thousands of objects that live as long as we do: looking for garbage among them takes time.
    gc.disable()
    with suppress(KeyboardInterrupt, BrokenPipeError):
        Attendance(share, pipe, newest).run()
