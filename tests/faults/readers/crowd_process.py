"""The process of a crowd: one loop that reads whoever has something to read, and sees to it that
everybody comes, leaves and comes back.

A delivery is one `recv` and one look-up (`crowd_stream.py`), so that the load comes from what is
tested and not from its readers.
"""

from __future__ import annotations

import errno
import gc
import heapq
import random
import select
import signal
import socket
import struct
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from itertools import count
from multiprocessing.connection import Connection

from loadtest.record import text_with
from tests.faults.evidence import ReaderHistory
from tests.faults.readers.crowd import CrowdCounts, CrowdPlan, Habits, Heard
from tests.faults.readers.crowd_stream import BlockTable, CrowdStream, NoStream

_READ_BYTES = 65536
_SMALL_BUFFER_BYTES = 4096
_LINGER_NOT = struct.pack("ii", 1, 0)
_SHORTEST_WAIT_SECONDS = 0.05
_AFTER_REFUSAL_SECONDS = 0.3
_SWEEP_SECONDS = 1.0
_CONNECTS_AT_ONCE = 32
_LONG_ABSENCES = 0.15
_COMING_SECONDS = 1.0
_LATEST = 10_000


class Due(Enum):
    """What a timer is for."""

    CONNECT = "connect"
    LEAVE = "leave"
    PAUSE = "pause"
    READ_ON = "read on"


class Leaving(Enum):
    """How a restless reader leaves."""

    CLOSE = "close"
    RESET = "reset"
    WITHIN_A_READ = "within a read"


@dataclass(eq=False)
class Reader:
    """One reader and its connection.

    Attributes:
        turn: counts connections; a timer of an earlier one means nothing.
        heard_at: when something came, or the connection was begun.
        is_paused: it does not read.
        is_cut: it leaves in the middle of what comes next.
    """

    habits: Habits
    stream: CrowdStream
    chance: random.Random
    connection: socket.socket | None = None
    turn: int = 0
    heard_at: float = 0.0
    has_asked: bool = False
    is_counted: bool = False
    is_paused: bool = False
    is_cut: bool = False


class Attendance:
    """All readers of a plan."""

    def __init__(self, plan: CrowdPlan, pipe: Connection) -> None:
        self._plan = plan
        self._pipe = pipe
        self._table = BlockTable()
        self._epoll = select.epoll()
        self._epoll.register(pipe.fileno(), select.EPOLLIN)
        self._by_descriptor: dict[int, Reader] = {}
        self._timers: list[tuple[float, int, Reader, int, Due]] = []
        self._order = count()
        self._open = self._frames = 0
        self._settled = False
        self._per_second: Counter[int] = Counter()
        self._open_per_second: dict[int, int] = {}
        self._sweep_at = time.monotonic()
        self._readers = [
            Reader(
                habits,
                CrowdStream(self._table, ReaderHistory(habits.name, habits.channels)),
                random.Random(f"{plan.seed} {habits.name}"),
            )
            for habits in plan.habits()
        ]
        now = time.monotonic()
        for number, reader in enumerate(self._readers):
            self._set_timer(reader, now + number / (_CONNECTS_AT_ONCE * 10), Due.CONNECT)

    def run(self) -> None:
        """Attend until told to stop, or until the parent is gone."""
        pipe = self._pipe.fileno()
        while True:
            now = time.monotonic()
            self._see_to_timers(now)
            if now >= self._sweep_at:
                self._sweep(now)
            until = min(self._sweep_at, self._timers[0][0] if self._timers else self._sweep_at)
            ready = self._epoll.poll(max(0.0, until - now), 512)
            now = time.monotonic()
            had = self._frames
            for descriptor, _ in ready:
                if descriptor != pipe:
                    reader = self._by_descriptor.get(descriptor)
                    if reader is not None:
                        self._attend(reader, now)
                elif not self._answer(now):
                    return
            if self._frames > had:
                self._per_second[int(now)] += self._frames - had

    def _answer(self, now: float) -> bool:
        """Do what the parent asks; return whether to go on."""
        try:
            asked = self._pipe.recv()
        except (EOFError, OSError):
            return False
        if asked == "stop":
            self._hand_over()
            return False
        if isinstance(asked, Heard):
            self._pipe.send(self._who_heard(asked))
            return True
        if asked == "settle":
            self._settle(now)
        self._pipe.send(self._counts())
        return True

    def _counts(self) -> CrowdCounts:
        return CrowdCounts(len(self._readers), self._open, self._frames)

    def _who_heard(self, asked: Heard) -> int:
        frames = {
            channel: self._table.frames_with(text_with(number, "").encode())
            for channel, number in asked.writes.items()
        }
        return sum(
            all(
                not frames[channel].isdisjoint(reader.stream.history.frames[-_LATEST:])
                for channel in reader.habits.channels
                if channel in frames
            )
            for reader in self._readers
        )

    def _hand_over(self) -> None:
        for reader in self._readers:
            if reader.connection is not None:
                reader.connection.close()
        self._pipe.send(self._table.blocks)
        for reader in self._readers:
            self._pipe.send(reader.stream.history)
        self._pipe.send(dict(self._per_second))
        self._pipe.send(self._open_per_second)

    def _settle(self, now: float) -> None:
        self._settled = True
        staying = [timer for timer in self._timers if timer[4] in (Due.CONNECT, Due.READ_ON)]
        self._timers = []
        for due_at, _, reader, turn, due in staying:
            if turn == reader.turn:
                soon = now + reader.chance.uniform(0, _COMING_SECONDS)
                self._set_timer(reader, min(due_at, soon), due)
        for reader in self._readers:
            reader.is_cut = False

    # Timers

    def _set_timer(self, reader: Reader, due_at: float, due: Due) -> None:
        heapq.heappush(self._timers, (due_at, next(self._order), reader, reader.turn, due))

    def _see_to_timers(self, now: float) -> None:
        connects = 0
        while self._timers and self._timers[0][0] <= now and connects < _CONNECTS_AT_ONCE:
            _, _, reader, turn, due = heapq.heappop(self._timers)
            if turn != reader.turn:
                continue
            if due is Due.CONNECT:
                connects += 1
                self._connect(reader, now)
            elif due is Due.LEAVE:
                self._leave(reader, now)
            elif due is Due.PAUSE:
                self._pause(reader, now)
            else:
                self._read_on(reader, now)

    def _sweep(self, now: float) -> None:
        """Once a second: count who is there, and give up what has been silent for too long."""
        self._open_per_second[int(now)] = self._open
        self._sweep_at = max(self._sweep_at + _SWEEP_SECONDS, now)
        for reader in self._readers:
            if reader.connection is None or reader.is_paused:
                continue
            plan = self._plan
            bound = plan.silence_seconds if reader.is_counted else plan.connect_seconds
            if now - reader.heard_at > bound:
                self._come_back(reader, now)

    # Coming and going

    def _connect(self, reader: Reader, now: float) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        if reader.habits.slow:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
        port = self._plan.link_port if reader.habits.through_link else self._plan.port
        reader.stream.begin()
        reader.connection, reader.heard_at, reader.has_asked = connection, now, False
        self._by_descriptor[connection.fileno()] = reader
        refused = connection.connect_ex(("127.0.0.1", port))
        self._epoll.register(connection.fileno(), select.EPOLLOUT)
        if refused not in (0, errno.EINPROGRESS):
            self._come_back(reader, now)

    def _ask_for_stream(self, reader: Reader, connection: socket.socket) -> None:
        failed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise ConnectionError(failed)
        last_id = reader.stream.last_id
        target = f"/sub/{'/'.join(reader.habits.channels)}".encode()
        header = b""
        if last_id and reader.habits.by_query:
            target += b"?last_event_id=" + last_id
        elif last_id:
            header = b"Last-Event-ID: " + last_id + b"\r\n"
        connection.sendall(
            b"GET " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
            b"Cache-Control: no-store\r\n" + header + b"\r\n"
        )
        reader.has_asked = True
        self._epoll.modify(connection.fileno(), select.EPOLLIN)

    def _attend(self, reader: Reader, now: float) -> None:
        connection = reader.connection
        assert connection is not None, "who is heard is connected"
        try:
            if not reader.has_asked:
                self._ask_for_stream(reader, connection)
                return
            data = connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._come_back(reader, now)
            return
        reader.heard_at = now
        stream = reader.stream
        if reader.is_cut:
            data = data[: reader.chance.randrange(len(data))]
        had = len(stream.history.frames)
        try:
            stream.receive(data, now)
        except NoStream:
            stream.has_ended = True
        self._frames += len(stream.history.frames) - had
        if stream.is_subscribed and not reader.is_counted:
            self._stream_has_begun(reader, now)
        if stream.has_ended or stream.is_refused or reader.is_cut:
            self._come_back(reader, now, self._absence(reader) if reader.is_cut else 0.0)

    def _stream_has_begun(self, reader: Reader, now: float) -> None:
        reader.is_counted = True
        self._open += 1
        if self._settled:
            return
        if reader.habits.restless:
            stay = reader.chance.expovariate(1 / self._plan.drop_seconds)
            self._set_timer(reader, now + stay, Due.LEAVE)
        if reader.habits.slow:
            pause_at = now + reader.chance.uniform(*self._plan.between_pauses_seconds)
            self._set_timer(reader, pause_at, Due.PAUSE)

    def _leave(self, reader: Reader, now: float) -> None:
        how = reader.chance.choice(tuple(Leaving))
        assert reader.connection is not None, "who leaves is connected"
        if how is Leaving.WITHIN_A_READ:
            reader.is_cut, reader.stream.is_clean = True, False
            return
        if how is Leaving.RESET:
            reader.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._come_back(reader, now, self._absence(reader))

    def _absence(self, reader: Reader) -> float:
        if reader.chance.random() < _LONG_ABSENCES:
            return reader.chance.uniform(0, self._plan.longest_away_seconds)
        return 0.0

    def _come_back(self, reader: Reader, now: float, absence: float = 0.0) -> None:
        """End a reader's connection; it comes again when it was told to, or later."""
        connection = reader.connection
        assert connection is not None, "who comes back was there"
        del self._by_descriptor[connection.fileno()]
        if not reader.is_paused:
            self._epoll.unregister(connection.fileno())
        connection.close()
        self._open -= reader.is_counted
        # However short the waits are made: who is down is not asked by everybody all the time.
        shortest = _SHORTEST_WAIT_SECONDS if reader.is_counted else _AFTER_REFUSAL_SECONDS
        reader.stream.end(now)
        reader.connection = None
        reader.is_counted = reader.is_paused = reader.is_cut = False
        reader.turn += 1
        told = reader.stream.retry_seconds * self._plan.retry_factor
        wait = max(shortest, told, 0.0 if self._settled else absence)
        self._set_timer(reader, now + wait, Due.CONNECT)

    # Slow readers

    def _pause(self, reader: Reader, now: float) -> None:
        assert reader.connection is not None, "who pauses is connected"
        self._epoll.unregister(reader.connection.fileno())
        reader.is_paused = True
        self._set_timer(reader, now + reader.chance.uniform(*self._plan.pause_seconds), Due.READ_ON)

    def _read_on(self, reader: Reader, now: float) -> None:
        assert reader.connection is not None, "who reads on is connected"
        self._epoll.register(reader.connection.fileno(), select.EPOLLIN)
        reader.is_paused, reader.heard_at = False, now
        if not self._settled:
            pause_at = now + reader.chance.uniform(*self._plan.between_pauses_seconds)
            self._set_timer(reader, pause_at, Due.PAUSE)


def attend(plan: CrowdPlan, pipe: Connection) -> None:
    """Be the crowd; its process begins here."""
    # Arrays that only grow: looking for garbage among them takes time.
    gc.disable()
    # It ends with its parent, which may want what the crowd has got when it is interrupted itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(BrokenPipeError):
        Attendance(plan, pipe).run()
