"""What a connection begins with, before any frame."""

import re

import pytest

from loadtest.eventsource import EventSourceClient
from stack.gateway import Gateway
from tests.gateway.conftest import (
    LogWriter,
    Subscribe,
)
from tests.gateway.wire import answers_of, connect

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_a_connection_begins_with_its_retry_and_the_cursor_now(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    assert subscriber.client.last_event_id.startswith(log.epoch() + ".")
    assert 200 <= (subscriber.client.parser.retry_ms or 0) <= 400
    assert subscriber.events == []


def test_the_stream_says_what_it_is_and_is_never_kept(subscribe: Subscribe, channel: str) -> None:
    headers = subscribe(channel).client.answer_headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "no-cache" in headers["cache-control"]
    assert "no-store" in headers["cache-control"]
    assert headers["x-accel-buffering"] == "no"


def test_nothing_on_the_way_is_to_buffer_or_compress_a_stream(
    gateway: Gateway, channel: str
) -> None:
    headers = {"Accept-Encoding": "gzip, br"}
    with EventSourceClient(f"{gateway.url}/sub/{channel}", headers=headers) as client:
        client.connect()
        assert client.answer_headers["x-accel-buffering"] == "no"
        assert "no-cache" in client.answer_headers["cache-control"]
        assert "content-encoding" not in client.answer_headers


def test_a_connection_that_brings_a_cursor_begins_with_that_cursor(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursor = log.append("thread:elsewhere")
    log.append("thread:elsewhere")
    log.wait_until_followed()
    assert subscribe(channel, cursor=cursor).client.last_event_id == cursor


def test_the_retry_is_drawn_for_each_connection(subscribe: Subscribe, channel: str) -> None:
    drawn = {subscribe(channel).client.parser.retry_ms or 0 for _ in range(30)}
    assert len(drawn) > 10
    assert all(200 <= retry_ms <= 400 for retry_ms in drawn)


def test_the_prologue_is_two_fields_and_an_empty_line(gateway: Gateway, channel: str) -> None:
    with connect(gateway) as connection:
        connection.sendall(f"GET /sub/{channel} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
        received = b""
        while b"\n\n\r\n" not in received:
            received += connection.recv(65536)
    (answer,) = answers_of(received)
    assert re.fullmatch(rb"retry: \d+\nid: [0-9a-f]{8}\.\d+-\d+\n\n", answer.body)
