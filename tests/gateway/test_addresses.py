"""`/sub/<channel>[.b<N>][/<channel>...]`, in whatever way it is spelled."""

import pytest

from tests.gateway.conftest import (
    LogWriter,
    Subscribe,
)

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_a_percent_encoded_channel_is_the_same_channel(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel.replace(":", "%3A"))
    log.append(channel, n=1)
    subscriber.wait_for(1)
