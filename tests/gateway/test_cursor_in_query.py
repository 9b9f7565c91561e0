"""The cursor may stand in the query, for whoever cannot send a header; the header wins."""

import pytest

from loadtest.eventsource import EventSourceClient
from stack.gateway import Gateway
from tests.gateway.conftest import (
    LogWriter,
    Subscribe,
)
from tests.gateway.wire import connect

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_the_cursor_may_come_in_the_query(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, n=n) for n in range(5)]
    subscriber = subscribe(channel, query=f"?last_event_id={cursors[1]}")
    subscriber.wait_for(3)
    assert subscriber.numbers() == [2, 3, 4]


def test_the_header_wins_over_the_query(subscribe: Subscribe, log: LogWriter, channel: str) -> None:
    cursors = [log.append(channel, n=n) for n in range(5)]
    subscriber = subscribe(channel, cursor=cursors[3], query=f"?last_event_id={cursors[0]}")
    subscriber.wait_for(1)
    assert subscriber.numbers() == [4]


def test_a_percent_encoded_cursor_is_the_same_cursor(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, n=n) for n in range(3)]
    encoded = "".join(f"%{ord(char):02x}" for char in cursors[1])
    subscriber = subscribe(channel, query=f"?x=1&last_event_id={encoded}&y=2")
    subscriber.wait_for(1)
    assert subscriber.numbers() == [2]


def test_of_two_cursors_in_the_query_the_first_counts(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, n=n) for n in range(4)]
    query = f"?last_event_id={cursors[2]}&last_event_id={cursors[0]}"
    subscriber = subscribe(channel, query=query)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [3]


@pytest.mark.parametrize("query", ["", "?", "?last_event_id", "?last_event_id=", "?other=1"])
def test_an_empty_cursor_is_none(
    subscribe: Subscribe, log: LogWriter, channel: str, query: str
) -> None:
    log.append(channel, n=0)
    now = log.wait_until_followed()
    subscriber = subscribe(channel, query=query)
    assert subscriber.client.last_event_id == now
    log.append(channel, n=1)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [1]


def test_two_headers_are_no_cursor(gateway: Gateway, log: LogWriter, channel: str) -> None:
    """Which of the two was meant nobody knows: it is told, and not guessed."""
    cursor = log.append(channel)
    lines = [f"GET /sub/{channel} HTTP/1.1", "Host: gateway", *[f"Last-Event-ID: {cursor}"] * 2]
    with connect(gateway) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b""
        while b"}\n\n\r\n" not in received:
            received += connection.recv(65536)
    assert b'event: reset\ndata: {"reason":"cursor",' in received


def test_a_cursor_behind_a_hundred_headers_is_seen(
    gateway: Gateway, log: LogWriter, channel: str
) -> None:
    cursor = log.append("thread:elsewhere")
    log.append("thread:elsewhere")
    log.wait_until_followed()
    headers = {f"X-{n}": "1" for n in range(120)}
    with EventSourceClient(f"{gateway.url}/sub/{channel}", cursor, headers=headers) as client:
        client.connect()
        while client.parser.blocks == 0:
            client.read()
        assert client.last_event_id == cursor
