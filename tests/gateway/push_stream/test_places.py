"""The module's table of workers, of which nginx knows nothing."""

import pytest

from tests.gateway.conftest import OwnGateway, Subscriber
from tests.gateway.thieves import gateway_with

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(180)]


def test_workers_that_begin_without_an_end_hold_nobody_up_for_ever(own_gateway: OwnGateway) -> None:
    """As each of them has publishers pause; here the first one does for ever."""
    old = "monotonic.now() + PAUSE_SECONDS"
    with gateway_with(own_gateway, "engine/push_stream/places.lua", old, "math.huge") as paused:
        subscriber = Subscriber(paused.client("thread:1")).connect()
        paused.log.append("thread:1", n=1)
        subscriber.wait_for(1)
        subscriber.client.close()
        text = paused.gateway.log.read_text(encoding="utf-8")
        assert 1 <= text.count("workers begin or end without an end") <= 2
