"""History and live are joined without a gap and without a repeat."""

from dataclasses import replace

import pytest

from stack.gateway import Gateway
from stack.platform import Platform
from tests.gateway.conftest import OwnGateway
from tests.gateway.crowd import Crowd
from tests.gateway.slow_replies import SlowReplies

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(180)]


@pytest.mark.parametrize("seed", [11, 23])
def test_everybody_gets_everything_once_in_order_however_they_come_and_go(
    own_gateway: OwnGateway, seed: int
) -> None:
    crowd = Crowd(own_gateway, seed, size=16)
    crowd.start()
    crowd.wait_for_frames(6_000)
    crowd.finish()
    assert sum(wanderer.connects for wanderer in crowd.wanderers) > 2 * len(crowd.wanderers)


def test_slow_frames_find_the_moments_between_too(own_gateway: OwnGateway) -> None:
    """With few frames and many connects, most frames meet a channel that has no subscriber in one
    of the workers, or has just got its first."""
    crowd = Crowd(own_gateway, 37, size=12, pause_seconds=0.002)
    crowd.start()
    crowd.wait_for_frames(3_000)
    crowd.finish()


@pytest.mark.parametrize("most_seconds", [0.004, 0.05])
def test_frames_that_go_out_while_a_history_is_on_its_way_are_not_lost(
    own_gateway: OwnGateway, most_seconds: float
) -> None:
    gateway = own_gateway.gateway
    redis_port = int(gateway.settings.redis_url.rpartition(":")[2].partition("/")[0])
    with SlowReplies(redis_port, most_seconds, seed=5) as slow:
        gateway.stop()
        between = replace(gateway.settings, redis_url=f"redis://127.0.0.1:{slow.port}/0")
        detour = Gateway(Platform.find(), gateway.directory, between)
        detour.start()
        try:
            crowd = Crowd(
                OwnGateway(detour, own_gateway.redis_server, own_gateway.log),
                seed=61,
                size=12,
                batch=6,
                pause_seconds=0.002,
            )
            crowd.start()
            crowd.wait_for_frames(3_000)
            crowd.finish()
        finally:
            detour.stop()
