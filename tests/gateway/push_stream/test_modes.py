"""What the module can do besides streaming is out of reach."""

import pytest

from loadtest.eventsource import EventSourceClient
from stack.gateway import Gateway
from tests.gateway.conftest import DEADLINE_SECONDS, LogWriter

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_a_header_does_not_turn_the_stream_into_polling(
    gateway: Gateway, log: LogWriter, channel: str
) -> None:
    url = f"{gateway.url}/sub/{channel}"
    with EventSourceClient(url, headers={"X-Nginx-PushStream-Mode": "long-polling"}) as client:
        events = client.connect()
        log.append(channel)
        log.append(channel)
        for event in client.events(DEADLINE_SECONDS):
            events.append(event)
            if len(events) == 2:
                break
        assert client.connected
