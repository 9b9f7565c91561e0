"""The module's own locks, of which nginx knows nothing."""

import os
import signal

import pytest

from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, OwnGateway, Subscriber
from tests.gateway.thieves import gateway_with

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(180)]


OPENED = "that worker 2147483647 held"


def haunted_in(phase: str) -> tuple[str, str]:
    """A passage of locks.lua, and what makes of all free locks a dead worker's in that phase."""
    old = "    for i = 1, #words do\n"
    new = (
        f"    for i = 1, ngx.get_phase() == '{phase}' and #words or 0 do\n"
        "        if words[i].lock == 0 then words[i].lock = 2147483647 end\n"
        "    end\n" + old
    )
    return old, new


@pytest.mark.parametrize("phase", ["access", "init_worker"])
def test_a_lock_that_a_dead_worker_held_holds_nobody_up(
    own_gateway: OwnGateway, phase: str
) -> None:
    """Each time somebody looks in that phase, all free locks are a dead worker's."""
    with gateway_with(own_gateway, "engine/push_stream/locks.lua", *haunted_in(phase)) as haunted:
        subscriber = Subscriber(haunted.client("thread:1/thread:2")).connect()
        for n in range(4):
            haunted.log.append("thread:1", n=n)
        subscriber.wait_for(4)
        os.kill(haunted.gateway.pid, signal.SIGHUP)
        subscriber.wait_until_ended()
        haunted.log.append("thread:2", n=4)
        while len(subscriber.events) < 5:
            if not subscriber.client.connected:
                subscriber.connect()
            else:
                subscriber.events += subscriber.client.read(DEADLINE_SECONDS)
        assert subscriber.numbers() == [0, 1, 2, 3, 4]
        subscriber.client.close()
        text = haunted.gateway.log.read_text(encoding="utf-8")
        assert OPENED in text


def test_a_lock_that_a_dead_worker_held_is_opened_though_nobody_asks(
    own_gateway: OwnGateway,
) -> None:
    with gateway_with(own_gateway, "engine/push_stream/locks.lua", *haunted_in("timer")) as haunted:
        wait_until(
            lambda: OPENED in haunted.gateway.log.read_text(encoding="utf-8"),
            DEADLINE_SECONDS,
            "the lock is open",
        )
