"""What happens to a process pool in a process that gevent has patched; each is called in one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import NoReturn

import gevent
import pytest
from gevent import monkey

from formatter.errors import PoolClosed
from formatter.process_pool import ProcessPool
from stack.process import wait_until
from tests import pool_work

SECONDS = 60


def the_same_tests() -> None:
    """Runs the unit tests of the pool here."""
    assert monkey.is_module_patched("socket")
    assert pytest.main(["-q", "-p", "no:cacheprovider", "tests/unit/test_process_pool.py"]) == 0


def a_hundred_callers() -> None:
    """Many greenlets share two processes; none gets another's answer."""
    pool = ProcessPool(2)

    by_process: Counter[int] = Counter()

    def add(number: int) -> None:
        assert pool.call(pool_work.add, number, 1, seconds=SECONDS) == number + 1
        by_process[pool.call(pool_work.process_id, seconds=SECONDS)] += 1

    gevent.joinall([gevent.spawn(add, number) for number in range(100)], raise_error=True)
    assert len(by_process) == 2
    assert by_process.total() == 100
    assert pool.waiting == 0
    pool.close()


def others_go_on() -> None:
    """A call that never ends holds up its own greenlet alone."""
    pool = ProcessPool(2)
    stuck = gevent.spawn(pool.call, pool_work.compute_for_ever, seconds=SECONDS)
    assert pool.call(pool_work.add, 1, 2, seconds=SECONDS) == 3
    assert not stuck.ready()
    stuck.kill()
    pool.close()


def callers_in_the_order_they_came() -> None:
    """Who waits longest is served first."""
    pool = ProcessPool(1)
    served: list[int] = []

    def call(number: int) -> None:
        pool.call(pool_work.add, number, 1, seconds=SECONDS)
        served.append(number)

    gevent.joinall([gevent.spawn(call, number) for number in range(50)], raise_error=True)
    assert served == list(range(50))
    pool.close()


def interrupted_at_work() -> None:
    """A caller interrupted while it is its turn leaves no answer for the next one."""
    pool = ProcessPool(1)
    first = pool.call(pool_work.process_id, seconds=SECONDS)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        pool.call(pool_work.wait, 0.2, seconds=SECONDS)
    assert pool_work.is_gone(first)
    assert pool.call(pool_work.add, 1, 2, seconds=SECONDS) == 3
    killed = gevent.spawn(pool.call, pool_work.wait, 0.2, seconds=SECONDS)
    gevent.sleep(0)
    killed.kill()
    assert pool.call(pool_work.add, 2, 2, seconds=SECONDS) == 4
    pool.close()


def interrupted_in_the_queue() -> None:
    """A caller interrupted before it is its turn gives the turn on."""
    pool = ProcessPool(1)
    before = pool.call(pool_work.process_id, seconds=SECONDS)
    callers = [
        gevent.spawn(pool.call, pool_work.wait, 0.01 * number, seconds=SECONDS)
        for number in range(6)
    ]
    gevent.sleep(0)
    assert pool.waiting == 5
    for caller in callers[1::2]:
        caller.kill(block=False)
    gevent.joinall(callers)
    assert [caller.value for caller in callers[2::2]] == [0.02, 0.04]
    assert pool.call(pool_work.process_id, seconds=SECONDS) == before
    pool.close()


def interrupted_when_the_turn_comes() -> None:
    """A caller that was given its turn and is interrupted before it notices gives it on."""
    pool = ProcessPool(1)
    taken = pool._take()
    caller = gevent.spawn(pool.call, pool_work.process_id, seconds=SECONDS)
    gevent.sleep(0)
    caller.kill(block=False)
    pool._put_back(taken)
    caller.join()
    assert pool.call(pool_work.add, 1, 2, seconds=SECONDS) == 3
    pool.close()


def closed_while_busy() -> None:
    """Who is at work is told that the pool is closed, and so is who waits."""
    pool = ProcessPool(1)
    pool.call(pool_work.process_id, seconds=SECONDS)
    pids = pool.pids
    functions: list[Callable[..., object]] = [pool_work.compute_for_ever, pool_work.process_id]
    busy, waiting = [gevent.spawn(pool.call, each, seconds=SECONDS) for each in functions]
    gevent.sleep(0)
    assert pool.waiting == 1
    pool.close()
    assert all(map(pool_work.is_gone, pids))
    gevent.joinall([busy, waiting])
    assert isinstance(busy.exception, PoolClosed)
    assert isinstance(waiting.exception, PoolClosed)
    assert pool.pids == set()


def closed_while_a_process_starts() -> None:
    """A process that was being started is not left behind."""
    pool = ProcessPool(1)
    caller = gevent.spawn(pool.call, pool_work.process_id, seconds=SECONDS)
    gevent.sleep(0.01)
    pool.close()
    caller.join()
    assert isinstance(caller.exception, PoolClosed), caller
    assert pool.pids == set()


def parent_of_two(report: str) -> NoReturn:
    """A process with one child at work and one at rest: writes their pids, then waits."""
    pool = ProcessPool(2)
    calls = [gevent.spawn(pool.call, pool_work.wait, 0.01, seconds=SECONDS) for _ in range(2)]
    gevent.joinall(calls, raise_error=True)
    gevent.spawn(pool.call, pool_work.compute_for_ever, seconds=600)
    gevent.sleep(0)
    wait_until(lambda: len(pool.pids) == 2, SECONDS, "both run")
    with open(report + ".new", "w", encoding="ascii") as file:
        file.write(" ".join(map(str, pool.pids)))
    os.rename(report + ".new", report)
    while True:
        gevent.sleep(1)
