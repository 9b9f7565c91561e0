"""`/sub/<channel>[.b<N>][/<channel>...]`, in whatever way it is spelled."""

import pytest

from stack.gateway import Gateway
from tests.gateway.conftest import (
    LogWriter,
    Subscribe,
)
from tests.gateway.wire import answers_of, connect

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_a_percent_encoded_channel_is_the_same_channel(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel.replace(":", "%3A"))
    log.append(channel, n=1)
    subscriber.wait_for(1)


@pytest.mark.parametrize("ending", [".b", ".bx", ".b1x", ".b-1", ".5", ".b5.c", ":b5", "-_:"])
def test_what_is_no_backlog_is_part_of_the_name(
    subscribe: Subscribe, log: LogWriter, channel: str, ending: str
) -> None:
    subscriber = subscribe(channel + ending)
    log.append(channel, n=0)
    log.append(channel + ending, n=1)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [1]


def test_a_channel_of_the_greatest_length_is_one(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    name = channel + "x" * (127 - len(channel))
    subscriber = subscribe(f"{name}.b1")
    log.append(name, n=1)
    subscriber.wait_for(1)


@pytest.mark.parametrize("target", ["http://elsewhere", "HTTPS://127.0.0.1:1", "http://[::1]"])
def test_an_absolute_address_is_its_path(
    gateway: Gateway, log: LogWriter, channel: str, target: str
) -> None:
    with connect(gateway) as connection:
        head = f"GET {target}/sub/{channel} HTTP/1.1\r\nHost: gateway\r\n\r\n"
        connection.sendall(head.encode())
        received = b""
        while b"\n\n\r\n" not in received:
            data = connection.recv(65536)
            assert data
            received += data
    assert answers_of(received)[0].status == 200
