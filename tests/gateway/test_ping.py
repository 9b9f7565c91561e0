"""A stream at rest says so now and then, in a comment that is no event."""

from collections.abc import Callable

import pytest

from stack.gateway import Gateway
from tests.gateway.conftest import LogWriter, SubscriberOf

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_a_stream_at_rest_gets_pings_and_nothing_else(
    gateway_with: Callable[..., Gateway], subscriber_of: SubscriberOf
) -> None:
    gateway = gateway_with(PUSHGATE_PING_SECONDS="1")
    subscriber = subscriber_of(gateway, "thread:1").connect()
    before = subscriber.client.last_event_id
    while subscriber.client.parser.comments < 2:
        subscriber.events += subscriber.client.read()
    assert subscriber.events == []
    assert subscriber.client.last_event_id == before
    LogWriter(gateway).append("thread:1", n=1)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [1]
