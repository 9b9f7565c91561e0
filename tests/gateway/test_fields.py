"""Nothing from outside gets into a field of a frame but what the field is for: no CR, LF or NUL."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from stack.gateway import Gateway
from tests.gateway.conftest import DEADLINE_SECONDS, LogWriter, Subscribe, ask

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

BREAKS = ("\n", "\r", "\r\n", "\0", "\n\n", "\x0b", "\x0c", "\x1e", "\x7f", "\x85", "\u2028")
INJECTED = "data: injected"


def privately(gateway: Gateway, request: bytes) -> bytes:
    """Sends bytes to the private listener and returns all that it answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(DEADLINE_SECONDS)
        connection.connect(str(gateway.private_socket))
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while data := connection.recv(65536):
            received += data
    return received


def publishing(channel: str) -> Iterator[bytes]:
    """Requests to /pub that try to bring a line of their own into the stream."""
    for line_break in BREAKS:
        evil = f"a{line_break}{INJECTED}"
        body = '{"n": 1}'
        for target, event_type, event_id, data in (
            (f"{channel}{quote(line_break)}{quote(INJECTED)}", "a", "", body),
            (f"{channel}/thread:{quote(evil)}", "a", "", body),
            (channel, evil, "", body),
            (channel, "a", evil, body),
            (channel, "a", "", f'{{"n": "{evil}"}}'),
            (channel, "a", "", f'{{"{evil}": 1}}'),
            (channel, "a", "", f'{{"n": 1}}{line_break}{INJECTED}'),
            (channel, "a", "", f'{line_break}{INJECTED}{line_break}{{"n": 1}}'),
            (channel, "a", "", f'{{"channels": ["{evil}"], "event_id": "{evil}"}}'),
        ):
            named = f"Event-Id: {event_id}\r\n" if event_id else ""
            encoded = data.encode()
            yield (
                f"POST /pub?id={target} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n"
                f"Content-Length: {len(encoded)}\r\nEvent-Type: {event_type}\r\n{named}\r\n"
            ).encode() + encoded


def blocks_of(stream: bytes) -> list[dict[str, str]]:
    """The blocks of a stream, field by field; fails when one is not as the gateway makes them."""
    blocks = []
    for block in stream.split(b"\n\n")[:-1]:
        fields = [line.partition(b": ") for line in block.split(b"\n") if line != b":"]
        names = [name for name, _, _ in fields]
        assert len(names) == len(set(names)), block
        assert set(names) <= {b"retry", b"id", b"event", b"data"}, block
        blocks.append({name.decode(): value.decode() for name, _, value in fields})
    return blocks


def unchunked(body: bytes) -> bytes:
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        parts.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return b"".join(parts)


def test_no_line_gets_in_by_publishing(gateway: Gateway, log: LogWriter, channel: str) -> None:
    start = log.wait_until_followed()
    for request in publishing(channel):
        answer = privately(gateway, request)
        status = int(answer.split(b" ")[1])
        # What is left of a header that was cut short may be a good request.
        assert status in (200, 400), answer
        assert f"\n{INJECTED}".encode() not in answer
    log.append(channel, n="last")
    for frame in frames_after(gateway, log, channel, start):
        data = json.loads(frame["data"])
        assert frame["event"] in ("a", "test.happened")
        # A text may say anything, escaped, in its place.
        assert "injected" not in frame["event"] + frame["id"]
        assert re.fullmatch(r"[0-9a-f]{8}\.\d+-\d+", frame["id"])
        assert "data: injected" not in data


def frames_after(
    gateway: Gateway, log: LogWriter, channel: str, cursor: str
) -> list[dict[str, str]]:
    """What a subscriber gets behind the cursor, as bytes, up to the log's end."""
    last = log.wait_until_followed()
    host, _, port = gateway.settings.listen.rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as connection:
        connection.sendall(
            f"GET /sub/{channel}?last_event_id={cursor} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode()
        )
        received = b""
        while last.encode() not in received or not received.endswith(b"\n\n\r\n"):
            data = connection.recv(65536)
            assert data, received
            received += data
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"200 OK" in head
    prologue, *frames = blocks_of(unchunked(body))
    assert set(prologue) == {"retry", "id"}
    return frames


def test_no_line_gets_in_by_the_log(
    gateway: Gateway, log: LogWriter, subscribe: Subscribe, channel: str
) -> None:
    start = log.wait_until_followed()
    subscriber = subscribe(channel)
    good = 'event: a\ndata: {"n": 1}\n\n'
    for line_break in BREAKS:
        evil = f"{line_break}{INJECTED}"
        for names, block in (
            (f"{channel}{evil}", good),
            (f"{channel} thread:1{evil}", good),
            (channel, f"event: a{line_break}id: 9{line_break}data: {{}}\n\n"),
            (channel, f"event: a\ndata: {{}}{line_break}{line_break}{INJECTED}\n\n"),
            (channel, f"event: a\ndata: {{}}{line_break}id\n\n"),
            (channel, f"event: a\ndata: {{}}{line_break}retry: 1\n\n"),
            (channel, f"{INJECTED}{line_break}{good}"),
        ):
            entry: dict[Any, Any] = {"channels": names, "frame": block}
            entry_id = log.client.xadd(log.keys.log, entry)
            log.client.xadd(log.keys.channel(channel), entry, id=entry_id)
    log.append(channel, n="last")
    frames = frames_after(gateway, log, channel, start)
    assert json.loads(frames[-1]["data"])["n"] == "last"
    for frame in frames[:-1]:
        assert re.fullmatch(r"[0-9a-f]{8}\.\d+-\d+", frame["id"])
        assert not frame["event"].startswith("injected")
        assert "retry" not in frame
    while not subscriber.events or '"last"' not in subscriber.events[-1].data:
        subscriber.wait_for(len(subscriber.events) + 1)
    assert len(subscriber.events) == len(frames)


def test_no_line_gets_in_by_subscribing(gateway: Gateway, log: LogWriter, channel: str) -> None:
    log.wait_until_followed()
    for line_break in BREAKS:
        for target in (
            f"/sub/{channel}{quote(line_break)}{quote(INJECTED)}",
            f"/sub/{channel}.b5{quote(line_break)}",
        ):
            answer = ask(gateway, "GET", target)
            assert answer.status == 400, target
            assert f"\n{INJECTED}".encode() not in answer.body
        cursor = f"{log.now()}{line_break}{INJECTED}"
        for header in ({}, {"Origin": f"http://a{quote(line_break)}"}):
            frames = resets_of(gateway, channel, cursor, header)
            assert [frame.get("event") for frame in frames] == ["reset"]
            assert "injected" not in str(frames)


def resets_of(
    gateway: Gateway, channel: str, cursor: str, headers: dict[str, str]
) -> list[dict[str, str]]:
    """What comes first for a cursor that is none."""
    host, _, port = gateway.settings.listen.rpartition(":")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as connection:
        connection.sendall(
            f"GET /sub/{channel}?last_event_id={quote(cursor)} HTTP/1.1\r\n"
            f"Host: gateway\r\n{lines}\r\n".encode()
        )
        received = b""
        while not received.endswith(b"\n\n\r\n"):
            data = connection.recv(65536)
            assert data, received
            received += data
    return blocks_of(unchunked(received.partition(b"\r\n\r\n")[2]))
