"""History and live are joined without a gap and without a repeat."""

import pytest

from tests.gateway.conftest import OwnGateway
from tests.gateway.crowd import Crowd

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
