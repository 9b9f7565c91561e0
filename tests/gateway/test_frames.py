"""Frames come live, in order, byte for byte as the log has them."""

import json
import socket
from typing import Any

import pytest

from stack.gateway import Gateway
from tests.gateway.conftest import (
    LogWriter,
    Subscribe,
)
from tests.gateway.wire import answers_of, connect

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_frames_come_live_in_order_under_their_log_ids(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    cursors = [log.append(channel, n=n) for n in range(50)]
    events = subscriber.wait_for(50)
    assert subscriber.numbers() == list(range(50))
    assert [event.id for event in events] == cursors
    assert {event.type for event in events} == {"test.happened"}


def test_a_frame_of_another_channel_does_not_come(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    log.append("thread:elsewhere", n=1)
    log.append(channel, n=2)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [2]


def test_a_frame_of_64_kb_that_doubled_on_the_way_arrives_whole(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    text = '"\\' * 65536
    log.append(channel, text=text)
    event = subscriber.wait_for(1)[0]
    assert json.loads(event.data)["text"] == text


@pytest.mark.parametrize(
    "data",
    [
        '{"text": "' + "äöü – 漢字 🦀".replace(" ", "\u00a0") + '"}',
        '{"text": "\\n \\r\\n \\u0000 id: 1"}',
        '  {  "spaces"  :  "stay"  }  ',
        "\ttabs\tstay",
        ": no comment",
        "x" * 65536,
        "\x1f\x7f\u2028\u2029\ufeff",
    ],
)
def test_a_frame_is_passed_on_byte_for_byte(
    gateway: Gateway, log: LogWriter, channel: str, data: str
) -> None:
    """Live and from history."""
    frame = f"event: test.happened\ndata: {data}\n\n".encode()
    fields: dict[Any, Any] = {"channels": channel, "frame": frame}
    before = log.wait_until_followed()
    with connect(gateway) as live:
        prologue = stream_of(live, channel, b"\n\n")
        appended: Any = log.client.xadd(log.keys.log, fields)
        log.client.xadd(log.keys.channel(channel), fields, id=appended)
        wanted = b"id: %b.%b\n%b" % (log.epoch().encode(), appended, frame)
        assert stream_of(live, None, wanted) == wanted
    assert prologue.endswith(f"id: {before}\n\n".encode())
    with connect(gateway) as resuming:
        again = stream_of(resuming, channel, wanted, f"Last-Event-ID: {before}")
    assert again.endswith(f"\nid: {before}\n\n".encode() + wanted)


def stream_of(connection: socket.socket, channel: str | None, until: bytes, *headers: str) -> bytes:
    """What the stream of a channel, or of the one asked for before, brings up to these bytes."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    received = b"" if channel else head
    if channel:
        lines = [f"GET /sub/{channel} HTTP/1.1", "Host: gateway", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode())
    while not received.endswith(b"\n\n\r\n") or until not in answers_of(received)[0].body:
        data = connection.recv(262144)
        assert data, "the stream has ended"
        received += data
    return answers_of(received)[0].body


def test_every_subscriber_of_a_channel_gets_the_same_frames(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    """Whichever worker it is with."""
    subscribers = [subscribe(channel) for _ in range(12)]
    for n in range(20):
        log.append(channel, n=n)
    for subscriber in subscribers:
        subscriber.wait_for(20)
        assert subscriber.numbers() == list(range(20))
