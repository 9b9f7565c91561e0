"""The tail through all that can befall Redis: late perhaps, never wrong, and never silent."""

import dataclasses
import json
import os
import signal
from collections.abc import Iterator

import pytest

from stack.gateway import Gateway
from stack.platform import Platform
from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, OwnGateway, Subscriber
from tests.gateway.crowd import Crowd
from tests.gateway.polling_client import PollingClient
from tests.gateway.slow_replies import SlowReplies

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(180)]


@pytest.fixture
def way(own_gateway: OwnGateway) -> Iterator[SlowReplies]:
    """The gateway's way to Redis, which can fall silent."""
    port = int(own_gateway.redis_server.url.rpartition(":")[2].partition("/")[0])
    straight = own_gateway.gateway
    straight.stop()
    with SlowReplies(port, 0, seed=0) as way:
        settings = dataclasses.replace(
            straight.settings, redis_url=f"redis://127.0.0.1:{way.port}/0"
        )
        own_gateway.gateway = Gateway(Platform.find(), straight.directory, settings)
        own_gateway.gateway.start()
        yield way
        own_gateway.gateway.stop()


def test_a_connection_that_falls_silent_is_noticed_and_holds_nobody_up(
    own_gateway: OwnGateway, way: SlowReplies
) -> None:
    log, gateway = own_gateway.log, own_gateway.gateway
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    log.append("thread:1", n=1)
    subscriber.wait_for(1)
    way.fall_silent()
    log.append("thread:1", n=2)
    wait_until(
        lambda: gateway.private("GET", "/readyz").status == 503,
        DEADLINE_SECONDS,
        "the gateway says that it is not ready",
    )
    # Workers go on meanwhile: who needs no Redis is let in.
    newcomer = Subscriber(own_gateway.client("thread:2")).connect()
    assert newcomer.client.connected
    way.answer_again()
    subscriber.wait_for(2)
    assert subscriber.numbers() == [1, 2]
    gateway.wait_until_ready(DEADLINE_SECONDS)
    for each in (subscriber, newcomer):
        each.client.close()


def test_silences_cost_no_frame_and_make_no_reset(
    own_gateway: OwnGateway, way: SlowReplies
) -> None:
    crowd = Crowd(own_gateway, 91, size=8, batch=8, pause_seconds=0.01, pollers=4)
    crowd.start()
    for _ in range(2):
        crowd.wait_for_frames(200)
        way.fall_silent()
        crowd.wait_for_frames(200)
        wait_until(
            lambda: own_gateway.gateway.private("GET", "/readyz").status == 503,
            DEADLINE_SECONDS,
            "the gateway says that it is not ready",
        )
        way.answer_again()
        own_gateway.log.wait_until_followed_past(own_gateway.log.now())
    crowd.finish()


def test_a_redis_that_dies_again_and_again_costs_no_frame(own_gateway: OwnGateway) -> None:
    """Frames are published between; nobody stands nearer to Redis than the gateway."""
    log, server = own_gateway.log, own_gateway.redis_server
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    client = PollingClient(own_gateway.gateway, "thread:1", log.now())
    polled: list[int] = []
    for n in range(4):
        log.wait_until_on_disk()
        server.kill()
        server.start()
        log.append("thread:1", n=n)
        while n not in polled:
            answer = client.poll()
            assert answer.reset is None
            polled += answer.numbers()
    subscriber.wait_for(4)
    assert subscriber.numbers() == polled == [0, 1, 2, 3]
    subscriber.client.close()
    client.close()


def test_a_log_that_lost_its_end_and_grew_again_moves_the_epoch(own_gateway: OwnGateway) -> None:
    """A machine lost power: Redis comes back without its last second, and the formatter writes
    before the gateway has looked."""
    log = own_gateway.log
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    log.append("thread:1", n=1)
    keys = (log.keys.log, log.keys.channel("thread:1"))
    before = [log.client.dump(key) for key in keys]
    lost = log.append("thread:1", n=2)
    subscriber.wait_for(2)
    log.wait_until_followed()
    epoch = log.epoch()
    workers = own_gateway.gateway.worker_pids
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    log.client.client_kill_filter(_type="normal", skipme=True)
    for key, dumped in zip(keys, before, strict=True):
        assert dumped is not None
        log.client.restore(key, 0, dumped, replace=True)
    log.append("thread:1", n=3)
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    reset = subscriber.wait_for(3)[2]
    assert (reset.type, json.loads(reset.data)["reason"]) == ("reset", "epoch")
    assert log.epoch() != epoch
    late = Subscriber(own_gateway.client("thread:1", lost)).connect()
    assert json.loads(late.wait_for(1)[0].data)["reason"] == "epoch"
    for each in (subscriber, late):
        each.client.close()


def test_a_log_whose_last_entry_was_deleted_has_lost_nothing(own_gateway: OwnGateway) -> None:
    log = own_gateway.log
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    log.append("thread:1", n=1)
    last = log.append("thread:1", n=2)
    subscriber.wait_for(2)
    log.wait_until_followed()
    log.client.xdel(log.keys.log, last.partition(".")[2])
    log.wait_until_on_disk()
    own_gateway.redis_server.kill()
    own_gateway.redis_server.start()
    log.append("thread:1", n=3)
    subscriber.wait_for(3)
    assert subscriber.numbers() == [1, 2, 3]
    assert subscriber.events[2].type != "reset"
    subscriber.client.close()
