"""What a connection begins with, before any frame."""

import pytest

from loadtest.eventsource import EventSourceClient
from stack.gateway import Gateway
from tests.gateway.conftest import (
    LogWriter,
    Subscribe,
)

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
