"""Frames come live, in order, byte for byte as the log has them."""

import json

import pytest

from tests.gateway.conftest import (
    LogWriter,
    Subscribe,
)

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_frames_come_live_in_order_under_their_log_ids(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    cursors = [log.append(channel, n=n) for n in range(50)]
    events = subscriber.wait_for(50)
    assert subscriber.numbers() == list(range(50))
    assert [event.id for event in events] == cursors
    assert {event.type for event in events} == {"test.happened"}


def test_a_frame_of_another_channel_does_not_come(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    log.append("thread:elsewhere", n=1)
    log.append(channel, n=2)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [2]


def test_a_frame_of_64_kb_that_doubled_on_the_way_arrives_whole(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    text = '"\\' * 65536
    log.append(channel, text=text)
    event = subscriber.wait_for(1)[0]
    assert json.loads(event.data)["text"] == text
