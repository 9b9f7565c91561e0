"""A frame that the module refuses for its size comes by history, in its place."""

import json
from typing import Any

import pytest

from stack.process import wait_until
from tests.gateway.conftest import (
    DEADLINE_SECONDS,
    LogWriter,
    OwnGateway,
    Subscribe,
    Subscriber,
)

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_a_frame_too_large_to_go_live_comes_by_history(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    log.append(channel, n=1)
    log.append(channel, n=2, text="x" * 600_000)
    log.append(channel, n=3)
    subscriber.wait_for(1)
    subscriber.wait_until_ended()
    subscriber.connect()
    subscriber.wait_for(3)
    assert subscriber.numbers() == [1, 2, 3]


def test_what_lies_behind_a_refused_frame_does_not_overtake_it(own_gateway: OwnGateway) -> None:
    """The tail hands over in batches; all of these are in one."""
    log, channel = own_gateway.log, "thread:1"
    subscriber = Subscriber(own_gateway.client(channel)).connect()
    ms = int(log.now().partition(".")[2].partition("-")[0]) + 60_000
    with log.client.pipeline(transaction=True) as together:
        for n in range(1, 31):
            text = "x" * 600_000 if n in (10, 11, 20) else "small"
            line = json.dumps({"n": n, "text": text})
            fields: dict[Any, Any] = {"channels": channel, "frame": f"event: x\ndata: {line}\n\n"}
            together.xadd(log.keys.log, fields, id=f"{ms}-{n}")
            together.xadd(log.keys.channel(channel), fields, id=f"{ms}-{n}")
        together.execute()

    def all_are_there() -> bool:
        if not subscriber.client.connected:
            subscriber.connect()
        subscriber.events += subscriber.client.events(0.2)
        return len(subscriber.events) >= 30

    wait_until(all_are_there, DEADLINE_SECONDS, "all frames are there")
    assert subscriber.numbers() == list(range(1, 31))
    subscriber.client.close()
