"""A stream is open no longer than its greatest age, and ends so that another one goes on."""

import socket
from collections.abc import Callable

import pytest

from stack.gateway import Gateway
from tests.gateway.conftest import DEADLINE_SECONDS, GatewayWith, LogWriter, Subscriber

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


@pytest.fixture
def short(gateway_with: GatewayWith) -> Gateway:
    """A gateway whose streams last half a second to a second, and which pings each second."""
    return gateway_with(PUSHGATE_MAX_AGE_SECONDS="1", PUSHGATE_PING_SECONDS="1")


def test_an_old_stream_ends_and_the_next_one_goes_on(
    short: Gateway, subscriber_of: Callable[..., Subscriber]
) -> None:
    log = LogWriter(short)
    subscriber = subscriber_of(short, "thread:1").connect()
    cursors = []
    for ended in range(3):
        while subscriber.client.connected:
            cursors.append(log.append("thread:1"))
            subscriber.events += subscriber.client.read(DEADLINE_SECONDS)
        assert subscriber.client.parser.retry_ms, f"end {ended} came without a retry"
        subscriber.connect()
    subscriber.wait_for(len(cursors))
    assert [event.id for event in subscriber.events] == cursors


def test_an_idle_stream_ends_too(short: Gateway, subscriber_of: Callable[..., Subscriber]) -> None:
    subscriber = subscriber_of(short, "thread:1").connect()
    subscriber.wait_until_ended()
    assert subscriber.events == []


@pytest.mark.parametrize("frames", [0, 200])
def test_a_client_that_does_not_close_is_closed(short: Gateway, frames: int) -> None:
    """Two hundred frames are more than one answer holds: that one ends with what it begins with."""
    log = LogWriter(short)
    cursor = log.now()
    log.append_many([("thread:1",)] * frames)
    for _ in range(frames // 10):
        log.append("thread:1", text="x" * 60_000)
    host, _, port = short.settings.listen.rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as connection:
        request = f"GET /sub/thread:1 HTTP/1.1\r\nHost: gateway\r\nLast-Event-ID: {cursor}\r\n\r\n"
        connection.sendall(request.encode())
        received = b""
        while data := connection.recv(65536):
            received += data
    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(b"\n\r\n0\r\n\r\n")
    assert received.count(b"\r\n0\r\n\r\n") == 1
