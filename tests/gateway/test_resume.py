"""Who comes back gets exactly what came after its cursor, then live frames."""

import pytest

from tests.gateway.conftest import (
    LogWriter,
    Subscribe,
)

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_resuming_gives_exactly_what_came_after_the_cursor(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, n=n) for n in range(10)]
    subscriber = subscribe(channel, cursor=cursors[3])
    subscriber.wait_for(6)
    log.append(channel, n=10)
    subscriber.wait_for(7)
    assert subscriber.numbers() == [4, 5, 6, 7, 8, 9, 10]


def test_resuming_at_the_end_gives_nothing_old(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    last = [log.append(channel, n=n) for n in range(3)][-1]
    subscriber = subscribe(channel, cursor=last)
    assert subscriber.client.last_event_id == last
    log.append(channel, n=3)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [3]


def test_a_long_history_comes_in_parts_without_a_gap(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    start = log.now()
    for n in range(150):
        log.append(channel, n=n, text="x" * 65536)
    subscriber = subscribe(channel, cursor=start)
    connects = 1
    while len(subscriber.events) < 150:
        subscriber.events += subscriber.client.events(0.5)
        if not subscriber.client.connected:
            subscriber.connect()
            connects += 1
    assert connects > 1
    assert subscriber.numbers() == list(range(150))


def test_a_subscriber_that_drops_after_each_frame_misses_none(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    for n in range(15):
        log.append(channel, n=n)
        subscriber.wait_for(n + 1)
        subscriber.client.close()
        subscriber.connect()
    assert subscriber.numbers() == list(range(15))


def test_what_came_while_nobody_was_connected_comes_first(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    log.append(channel, n=0)
    subscriber.wait_for(1)
    subscriber.client.close()
    for n in range(1, 200):
        log.append(channel, n=n)
    subscriber.connect()
    log.append(channel, n=200)
    subscriber.wait_for(201)
    assert subscriber.numbers() == list(range(201))
