"""Bytes to a gateway and back: requests that no HTTP client would send, answers read strictly."""

import re
import socket
from dataclasses import dataclass

from stack.gateway import Gateway

DEADLINE_SECONDS = 20.0

_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]*\r\n((?:[A-Za-z0-9-]+: [ -~]*\r\n)*)\r\n")


class NotHttp(AssertionError):
    """What came is not what a server that keeps to HTTP/1.1 sends."""


@dataclass(frozen=True)
class WireAnswer:
    """One answer, as it came.

    Attributes:
        headers: names in lower case, in the order in which they came.
        body: whole, without its chunks' heads; of a stream, what came of it.
        is_whole: whether the body was there to its end.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_whole: bool

    def header(self, name: str) -> str | None:
        """The header's value; None when it did not come, or more than once."""
        values = [value for known, value in self.headers if known == name]
        return values[0] if len(values) == 1 else None


def connect(gateway: Gateway, *, private: bool = False) -> socket.socket:
    """Opens a connection to the public listener, or to the private socket."""
    if private:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(DEADLINE_SECONDS)
        connection.connect(str(gateway.private_socket))
        return connection
    host, _, port = gateway.settings.listen.rpartition(":")
    return socket.create_connection((host, int(port)), DEADLINE_SECONDS)


def exchange(gateway: Gateway, sent: bytes, *, private: bool = False) -> bytes:
    """Sends bytes, says that no more come, and returns what comes until the gateway closes.

    When it has said that it will, it may take its time: nginx waits 5 s for a body's end.
    """
    with connect(gateway, private=private) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while not says_goodbye(received) and (data := connection.recv(65536)):
            received += data
    return received


def says_goodbye(received: bytes) -> bool:
    """Whether an answer is there to its end that says `Connection: close`."""
    if b"\r\nConnection: close\r\n" not in received:
        return False
    last = answers_of(received)[-1]
    return last.header("connection") == "close" and last.is_whole and last.body != b""


def the_answer(received: bytes) -> WireAnswer:
    """The only answer in what came.

    Raises:
        NotHttp: it is not exactly one.
    """
    answers = answers_of(received)
    if len(answers) != 1:
        raise NotHttp(f"{len(answers)} answers: {received[:300]!r}")
    return answers[0]


def answers_of(received: bytes) -> list[WireAnswer]:
    """The answers of one connection in order, without `100 Continue`.

    Raises:
        NotHttp: some of it is no answer.
    """
    answers, rest = split_answers(received)
    if rest:
        raise NotHttp(f"no answer begins with {rest[:300]!r}")
    return answers


def split_answers(received: bytes) -> tuple[list[WireAnswer], bytes]:
    """The answers of one connection in order, and what lies behind them that is none."""
    answers: list[WireAnswer] = []
    rest = received
    while head := _HEAD.match(rest):
        rest = rest[head.end() :]
        status = int(head[1])
        if status == 100:
            continue
        lines = head[2].decode("ascii").split("\r\n")[:-1]
        pairs = tuple((line.partition(": ")[0].lower(), line.partition(": ")[2]) for line in lines)
        body, rest, is_whole = _body(dict(pairs), rest)
        answers.append(WireAnswer(status, pairs, body, is_whole))
    return answers, rest


def _body(headers: dict[str, str], rest: bytes) -> tuple[bytes, bytes, bool]:
    """A body, what lies behind it, and whether it is whole."""
    if headers.get("transfer-encoding") == "chunked":
        return _chunks(rest)
    if "content-length" not in headers:
        # It ends with the connection, or there is none (204).
        return (b"", rest, True) if rest.startswith(b"HTTP/1.1 ") else (rest, b"", True)
    length = int(headers["content-length"])
    if not rest or rest.startswith(b"HTTP/1.1 "):
        # An answer to HEAD: no body of ours begins like an answer.
        return b"", rest, True
    return rest[:length], rest[length:], len(rest) >= length


def _chunks(rest: bytes) -> tuple[bytes, bytes, bool]:
    parts: list[bytes] = []
    while True:
        size = re.match(rb"([0-9a-f]+)\r\n", rest)
        if not size:
            if b"\r\n" in rest:
                raise NotHttp(f"no chunk begins with {rest[:100]!r}")
            return b"".join(parts), b"", False
        length = int(size[1], 16)
        chunk, end = rest[size.end() :][:length], rest[size.end() + length :][:2]
        parts.append(chunk)
        if len(end) < 2:
            return b"".join(parts), b"", False
        if end != b"\r\n":
            raise NotHttp(f"a chunk ends with {end!r}")
        rest = rest[size.end() + length + 2 :]
        if length == 0:
            return b"".join(parts), rest, True
