"""nginx reloaded under load, in small: all come back, nobody misses a frame."""

import pytest

from loadtest.bench.gateway.reloads import Plan, reload_again_and_again, table_of

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(180)]


def test_nobody_misses_a_frame_when_nginx_reloads_again_and_again() -> None:
    plan = Plan(subscribers=300, reloads=3, channels=3, frames_a_second=10.0)
    found = reload_again_and_again(plan, retry_min_ms="100", retry_max_ms="1500")
    table = str(table_of(found, ""))
    print(table)
    assert found.exactness.is_exact, table
    assert found.exactness.came == found.exactness.due == 300 * found.frames
    assert [sum(one.told) > 0 for one in found.reloads] == [True] * 3
