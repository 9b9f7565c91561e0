"""Several channels in one connection have one cursor: each frame once, in the log's order."""

import pytest

from tests.gateway.conftest import (
    LogWriter,
    Subscribe,
)

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_an_entry_that_names_two_channels_comes_once(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    other = channel + ".other"
    start = log.now()
    for n in range(4):
        log.append(channel, other, n=n)
    subscriber = subscribe([channel, other], cursor=start)
    for n in range(4, 8):
        log.append(other, channel, n=n)
    log.append(channel, n=8)
    subscriber.wait_for(9)
    assert subscriber.numbers() == list(range(9))


def test_several_channels_come_in_the_logs_order(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    channels = [f"{channel}.{i}" for i in range(3)]
    start = log.now()
    for n in range(30):
        log.append(channels[n % 3], n=n)
    subscriber = subscribe(channels, cursor=start)
    for n in range(30, 60):
        log.append(channels[n % 3], n=n)
    subscriber.wait_for(60)
    assert subscriber.numbers() == list(range(60))


def test_a_channel_named_twice_is_one_subscription(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe([channel, channel])
    for n in range(3):
        log.append(channel, n=n)
    subscriber.wait_for(3)
    assert subscriber.numbers() == [0, 1, 2]


def test_one_cursor_resumes_all_channels(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    """Also those that it is no entry of."""
    channels = [f"{channel}.{i}" for i in range(4)]
    subscriber = subscribe(channels)
    for n in range(8):
        log.append(channels[n % 4], n=n)
    subscriber.wait_for(5)
    del subscriber.events[5:]
    cursor = subscriber.events[4].id
    subscriber.client.close()
    again = subscribe([*reversed(channels)], cursor=cursor)
    again.wait_for(3)
    assert subscriber.numbers() + again.numbers() == list(range(8))


def test_a_connection_takes_sixteen_channels(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    channels = [f"{channel}.{i}" for i in range(16)]
    subscriber = subscribe(channels)
    for n, name in enumerate(channels):
        log.append(name, n=n)
    subscriber.wait_for(16)
    assert subscriber.numbers() == list(range(16))
