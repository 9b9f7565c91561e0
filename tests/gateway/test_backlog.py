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
