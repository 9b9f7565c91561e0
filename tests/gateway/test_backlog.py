"""`.b<N>` sends a channel's last N frames first, to whoever brings no cursor."""

import pytest

from tests.gateway.conftest import (
    DEADLINE_SECONDS,
    LogWriter,
    Subscribe,
)

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_a_backlog_gives_the_last_frames_first(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    for n in range(10):
        log.append(channel, n=n)
    log.wait_until_followed()
    subscriber = subscribe(f"{channel}.b3")
    log.append(channel, n=10)
    subscriber.wait_for(4)
    assert subscriber.numbers() == [7, 8, 9, 10]


def test_a_reconnect_does_not_repeat_the_backlog(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, n=n) for n in range(4)]
    subscriber = subscribe(f"{channel}.b3", cursor=cursors[2])
    log.append(channel, n=4)
    subscriber.wait_for(2)
    assert subscriber.numbers() == [3, 4]


def test_after_a_backlog_the_browser_resumes_at_now(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    old = log.append(channel, n=0)
    log.append("thread:elsewhere")
    now = log.wait_until_followed()
    subscriber = subscribe(f"{channel}.b1")
    assert subscriber.wait_for(1)[0].id == old
    while subscriber.client.last_event_id == old:
        subscriber.events += subscriber.client.read(DEADLINE_SECONDS)
    assert subscriber.client.last_event_id == now


def test_a_backlog_of_none_is_none(subscribe: Subscribe, log: LogWriter, channel: str) -> None:
    log.append(channel, n=0)
    log.wait_until_followed()
    subscriber = subscribe(f"{channel}.b0")
    log.append(channel, n=1)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [1]


def test_a_longer_backlog_than_there_is_is_what_there_is(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    for n in range(3):
        log.append(channel, n=n)
    log.wait_until_followed()
    subscriber = subscribe(f"{channel}.b999999999999999999999")
    log.append(channel, n=3)
    subscriber.wait_for(4)
    assert subscriber.numbers() == [0, 1, 2, 3]


def test_each_channel_has_a_backlog_of_its_own_and_all_come_in_the_logs_order(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    first, second, third = (f"{channel}.{name}" for name in ("x", "y", "z"))
    for n in range(9):
        log.append((first, second, third)[n % 3], n=n)
    log.wait_until_followed()
    subscriber = subscribe([f"{first}.b2", third, f"{second}.b1"])
    log.append(third, n=9)
    subscriber.wait_for(4)
    assert subscriber.numbers() == [3, 6, 7, 9]


def test_a_cursor_in_the_query_leaves_the_backlog_out_too(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, n=n) for n in range(4)]
    subscriber = subscribe(f"{channel}.b3", query=f"?last_event_id={cursors[2]}")
    subscriber.wait_for(1)
    log.append(channel, n=4)
    subscriber.wait_for(2)
    assert subscriber.numbers() == [3, 4]


def test_a_malformed_cursor_is_one_so_nothing_of_the_backlog_comes(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    log.append(channel, n=0)
    log.wait_until_followed()
    subscriber = subscribe(f"{channel}.b3", cursor="nonsense")
    log.append(channel, n=1)
    assert [event.type for event in subscriber.wait_for(2)] == ["reset", "test.happened"]
