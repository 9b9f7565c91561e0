"""The drop benchmark in small: nobody misses a frame, and what is planted is found."""

from pathlib import Path

import pytest

from loadtest.bench.gateway.cuts import Cuts
from loadtest.bench.gateway.drops import Drops, Plan, cut_and_resume, table_of
from tests.gateway.changed_lua import changed_lua

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(180)]

SEED = 61
PLAN = Plan(60, 30, 20.0, Cuts(every_seconds=0.5, away_seconds=0.2, seed=SEED))


def gateway_with(directory: Path, path: str, old: str, new: str) -> Drops:
    """The same with a fault in the gateway's Lua."""
    return cut_and_resume(PLAN, lua_dir=str(changed_lua(directory, path, old, new)))


def test_clients_that_are_cut_again_and_again_miss_nothing() -> None:
    plan = Plan(300, 20, 8.0, Cuts(every_seconds=1.0, away_seconds=0.5, seed=SEED))
    found = cut_and_resume(plan)
    print(table_of(found, ""))
    assert found.exactness.is_exact, str(table_of(found, ""))
    assert found.exactness.came == found.exactness.due == 300 * 21
    assert found.cut > 300
    assert found.replayed > 300
    assert found.replay_ms.count > 150
    assert found.resumed <= found.cut


def test_a_frame_that_is_stolen_is_lost(tmp_path: Path) -> None:
    """Who is cut before the next one has it by resuming."""
    old = "        text, ends = subscribe.pass(subscriber, block)"
    new = (
        "        if block:find('\"n\":9,', 1, true) then text = ''\n"
        "        else text, ends = subscribe.pass(subscriber, block) end"
    )
    found = gateway_with(tmp_path, "engine/push_stream.lua", old, new).exactness
    assert (found.twice, found.out_of_order) == (0, 0)
    assert found.lost > 0
    assert found.books["frames"]["short"] > 0
    assert not found.is_exact


def test_a_frame_that_is_sent_again_came_twice(tmp_path: Path) -> None:
    old = "        parts[#parts + 1] = entry.block\n"
    found = gateway_with(tmp_path, "head.lua", old, old + old).exactness
    assert (found.lost, found.out_of_order) == (0, 0)
    assert found.twice > 0
    assert not found.is_exact


def test_a_history_that_is_read_backwards_is_out_of_order(tmp_path: Path) -> None:
    old = "        local entry = entries[i]\n        -- Other"
    new = "        local entry = entries[#entries + 1 - i]\n        -- Other"
    found = gateway_with(tmp_path, "head.lua", old, new).exactness
    assert found.out_of_order > 0
    assert not found.is_exact


def test_a_reset_for_nothing_is_counted_by_its_reason(tmp_path: Path) -> None:
    old = "    if found.reset then\n"
    new = (
        "    if ngx.shared.pushgate_state:add('reset', true) then found.reset = 'history' end\n"
        + old
    )
    found = gateway_with(tmp_path, "head.lua", old, new).exactness
    assert found.resets.keys() == {"history"}
    assert found.lost > 0
    assert not found.is_exact
