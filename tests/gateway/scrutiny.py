"""What must hold of a gateway whatever it is sent: its workers live, its log knows no alarm, its
answers are HTTP, and its subscribers get the log's bytes and no other."""

import json
import os
import re
import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pushgate.channels import check_channel
from pushgate.errors import InvalidChannel
from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, LogWriter, OwnGateway
from tests.gateway.wire import WireAnswer, connect, split_answers

_ALARM = re.compile(
    rb"exited on|signal 1?\d\b|\[(?:alert|emerg|crit)\]|runtime error|attempt to |entry thread "
    rb"aborted|could not use the reply|fails? and begins again|stack traceback"
)
_SENTENCE = re.compile(rb"[ -~]+\n")
_CURSOR = rb"[0-9a-f]{8}\.\d{1,15}-\d{1,15}"
_STREAM = re.compile(
    rb"(?:retry: \d+\n(?:id: " + _CURSOR + rb"\n(?:event: reset\ndata: [^\r\n\0]+\n)?)?\n)"
    rb"(?::\n\n|(?:id: " + _CURSOR + rb"\n)?(?:event: [^\r\n\0]+\ndata: [^\r\n\0]+\n)?\n)*"
)
_REFUSED_STREAM = re.compile(rb'retry: \d+\nevent: error\ndata: \{"reason":"[a-z_]+"\}\n\n')
_BARE = re.compile(rb"[ -~\r\n]*")


@dataclass(frozen=True)
class Received:
    """What came of one connection.

    Attributes:
        sent: what had been sent.
        data: what came.
        was_cut: the connection broke, or is still open.
    """

    sent: bytes
    data: bytes
    was_cut: bool


def check_answers(received: Received) -> list[WireAnswer]:
    """Fails unless all that came are answers as this gateway gives them."""
    answers, rest = split_answers(received.data)
    # An answer to HEAD is told by what does not come, so what comes behind it seems to be its body.
    has_bodies = b"HEAD" not in received.sent
    for answer in answers:
        _check_answer(answer, has_bodies)
    # HTTP 0.9 has no head: one sentence, one page.
    assert _BARE.fullmatch(rest), rest
    assert b"<html" not in rest, rest
    assert not re.search(rb"^(X-Injected|data: injected)", rest, re.MULTILINE), rest
    return answers


def _check_answer(answer: WireAnswer, has_bodies: bool) -> None:
    names = [name for name, _ in answer.headers]
    assert len(set(names)) == len(names), answer
    assert not [name for name in names if "injected" in name], answer
    assert answer.status < 500, answer
    kind = answer.header("content-type")
    if answer.status >= 400:
        assert kind == "text/plain; charset=utf-8", answer
        assert not has_bodies or not answer.is_whole or _SENTENCE.fullmatch(answer.body), answer
    elif kind == "application/json" and has_bodies and answer.is_whole:
        json.loads(answer.body)
    elif kind and kind.startswith("text/event-stream"):
        whole = answer.body[: answer.body.rfind(b"\n\n") + 2] if b"\n\n" in answer.body else b""
        assert not whole or _STREAM.fullmatch(whole) or _REFUSED_STREAM.fullmatch(whole), answer


class Watcher:
    """A subscriber whose every byte is kept."""

    def __init__(self, own: OwnGateway, channels: tuple[str, ...]) -> None:
        self.channels = channels
        self.stream = b""
        self.is_open = True
        self._raw = b""
        self._connection = connect(own.gateway)
        target = f"/sub/{'/'.join(channels)}"
        self._connection.sendall(f"GET {target} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
        while b"\r\n\r\n" not in self._raw:
            self._raw += self._connection.recv(65536)
        self._raw = self._raw.partition(b"\r\n\r\n")[2]
        while self._take() or b"\n\n" not in self.stream:
            self.read(DEADLINE_SECONDS)
        assert re.fullmatch(rb"retry: \d+\nid: " + _CURSOR + rb"\n\n", self.stream), self.stream
        self.stream = b""

    def read(self, seconds: float) -> None:
        """Takes what comes next; notices an end."""
        self._connection.settimeout(seconds)
        try:
            data = self._connection.recv(262144)
        except TimeoutError:
            return
        except OSError:
            data = b""
        self.is_open = data != b""
        self._raw += data
        self._take()

    def _take(self) -> bool:
        """Moves whole chunks into the stream, without pings. Whether a part of one is left."""
        while size := re.match(rb"([0-9a-f]+)\r\n", self._raw):
            length = int(size[1], 16)
            end = size.end() + length + 2
            if len(self._raw) < end:
                break
            chunk, self._raw = self._raw[size.end() : end - 2], self._raw[end:]
            if chunk != b":\n\n":
                self.stream += chunk
        return self._raw != b""

    def close(self) -> None:
        """Leaves."""
        self._connection.close()


class Scrutiny:
    """Looks closely at a gateway of the test's own, again and again.

    Args:
        watched: the channels of each of its subscribers.
    """

    def __init__(self, own: OwnGateway, *watched: tuple[str, ...]) -> None:
        self._own = own
        self._watched = watched
        self._watchers: list[Watcher] = []
        self._workers: list[int] = []
        self._read_up_to = 0
        self._position = ""
        self._descriptors: dict[int, int] = {}
        self._is_sound = False
        self.begin()
        self._descriptors = {pid: _descriptors(pid) for pid in self._workers}

    @property
    def log(self) -> LogWriter:
        """The gateway's log."""
        return self._own.log

    def begin(self) -> None:
        """Begins anew when something broke: what is to come is compared with what is now."""
        if self._is_sound:
            return
        self.close()
        self._own.gateway.wait_until_ready()
        self._position = self.log.wait_until_followed().partition(".")[2]
        self._watchers = [Watcher(self._own, channels) for channels in self._watched]
        self._workers = self._own.gateway.worker_pids
        self._read_up_to = self._own.gateway.log.stat().st_size
        self._is_sound = True

    def check(self) -> None:
        """Fails unless everything is as it should be, and a frame appended now arrives."""
        self._is_sound = False
        self._check_streams()
        assert self._own.gateway.worker_pids == self._workers, "a worker has ended"
        with self._own.gateway.log.open("rb") as log:
            log.seek(self._read_up_to)
            new = log.read()
        self._read_up_to += len(new)
        alarms = [line for line in new.splitlines() if _ALARM.search(line)]
        assert not alarms, b"\n".join(alarms[:5]).decode("utf-8", "replace")
        self._is_sound = True

    def _check_streams(self) -> None:
        self.log.append(self._watched[0][0])
        epoch = self.log.epoch()
        expected = [b""] * len(self._watchers)
        found: Any = self.log.client.xrange(self.log.keys.log, f"({self._position}", "+")
        for entry_id, fields in found:
            self._position = entry_id.decode()
            names = channels_of(fields)
            for number, watcher in enumerate(self._watchers):
                if set(names) & set(watcher.channels):
                    expected[number] += block_of(f"{epoch}.{self._position}", names, fields)
        for watcher, wanted in zip(self._watchers, expected, strict=True):

            def has_come(watcher: Watcher = watcher, wanted: bytes = wanted) -> bool:
                if len(watcher.stream) < len(wanted) and watcher.is_open:
                    watcher.read(1)
                return len(watcher.stream) >= len(wanted) or not watcher.is_open

            wait_until(has_come, DEADLINE_SECONDS, "what is in the log has come")
            # What was appended since the log was read is compared the next time.
            got, watcher.stream = watcher.stream[: len(wanted)], watcher.stream[len(wanted) :]
            assert watcher.is_open, "a subscriber's stream has ended"
            assert got == wanted, f"got {got[:2000]!r}, in the log {wanted[:2000]!r}"

    def check_that_nothing_is_held(self) -> None:
        """Fails unless the workers let go of what the connections took, but for Redis' pool."""

        def few() -> bool:
            return all(_descriptors(pid) <= most + 70 for pid, most in self._descriptors.items())

        wait_until(few, 60, "the workers have closed their descriptors")

    def close(self) -> None:
        """Watches no more."""
        for watcher in self._watchers:
            watcher.close()
        self._watchers = []


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def channels_of(fields: dict[bytes, bytes]) -> list[str]:
    """Who is to get a log entry; nobody when it is malformed. Judged without the gateway's code."""
    if list(fields)[:2] != [b"channels", b"frame"]:
        return []
    if fields[b"frame"] and not _is_frame(fields[b"frame"]):
        return []
    names = fields[b"channels"].decode("latin-1").split(" ")
    with suppress(InvalidChannel):
        return [check_channel(name) for name in names] if len(names) <= 16 else []
    return []


def _is_frame(text: bytes) -> bool:
    """One event, not of the gateway's own, and one line of data, in UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    found = re.fullmatch(rb"event: ([^\r\n\0]+)\ndata: [^\r\n\0]*\n\n", text)
    return found is not None and found[1] not in (b"reset", b"error", b"open")


def block_of(cursor: str, names: list[str], fields: dict[bytes, bytes]) -> bytes:
    """What a sound log entry is to its subscribers. One without a frame deletes its channels."""
    data = {"reason": "deleted", "cursor": cursor, "channels": names}
    deletion = f"event: reset\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
    return f"id: {cursor}\n".encode() + (fields[b"frame"] or deletion.encode())


def read_until_quiet(
    connections: dict[int, tuple[socket.socket, bytes]], quiet_ms: int = 30
) -> list[Received]:
    """Reads from all until each has ended, has shown its stream, or none says anything more.

    Args:
        connections: by descriptor, with what was sent. All are closed.
    """
    poll = select.poll()
    data = dict.fromkeys(connections, b"")
    cut = set(connections)
    for descriptor in connections:
        poll.register(descriptor, select.POLLIN)
    open_ones = set(connections)
    while open_ones and (events := poll.poll(quiet_ms)):
        for descriptor, _ in events:
            try:
                more = connections[descriptor][0].recv(262144)
            except OSError:
                more = b""
            else:
                if not more:
                    cut.discard(descriptor)
            data[descriptor] += more
            if not more or _is_enough(data[descriptor]):
                poll.unregister(descriptor)
                open_ones.discard(descriptor)
    for connection, _ in connections.values():
        connection.close()
    return [
        Received(sent, data[descriptor], descriptor in cut)
        for descriptor, (_, sent) in connections.items()
    ]


def _is_enough(data: bytes) -> bool:
    """A stream does not end, and has shown what it begins with."""
    return b"\r\nContent-Type: text/event-stream" in data and data.endswith(b"\n\n\r\n")
