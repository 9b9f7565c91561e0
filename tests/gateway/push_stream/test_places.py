"""The module's table of workers, of which nginx knows nothing."""

import os
import signal

import pytest

from tests.gateway.conftest import OwnGateway, Subscriber
from tests.gateway.test_faults import wait_until_gone
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


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("places.lua", "{ int pid[1024]; }", "{ int more, pid[1024]; }"),
        ("locks.lua", "unsigned long last_counts[2];", "unsigned long last_counts[3];"),
    ],
)
def test_a_module_laid_out_in_another_way_is_left_as_it_is(
    own_gateway: OwnGateway, file: str, old: str, new: str
) -> None:
    with gateway_with(own_gateway, f"engine/push_stream/{file}", old, new) as strange:
        subscriber = Subscriber(strange.client("thread:1")).connect()
        strange.log.append("thread:1", n=1)
        subscriber.wait_for(1)
        workers = strange.gateway.worker_pids
        os.kill(strange.gateway.pid, signal.SIGHUP)
        wait_until_gone(workers)
        subscriber.wait_until_ended()
        subscriber.connect()
        strange.log.append("thread:1", n=2)
        subscriber.wait_for(2)
        subscriber.client.close()
        text = strange.gateway.log.read_text(encoding="utf-8")
        assert f"is not laid out as {file} has it" in text
        assert "freed the engine's place" not in text
        assert "opened a lock" not in text
