"""Calls into other processes. `tests/integration/test_process_pool.py` runs all of this again in a
process that gevent has patched, as the worker is.
"""

from __future__ import annotations

import operator
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from importlib import import_module

import pytest

from formatter import TransientError
from formatter.errors import DeadlineExceeded, PoolClosed, ProcessDied, ProcessEnded, ResultTooLarge
from formatter.process_pool import ProcessPool, use
from formatter.registry import load_pipelines
from formatter.sandbox import Sandbox
from pushgate import Event
from stack.process import wait_until
from tests import pool_work
from tests.pool_work import is_gone

pytestmark = pytest.mark.long

SECONDS = 60
"""Longer than any call here needs, on a machine with much else to do."""

MEMORY_BYTES = 512 * 1024**2


@pytest.fixture
def pool() -> Iterator[ProcessPool]:
    """One process, with little memory."""
    pool = ProcessPool(1, name="test", memory_bytes=MEMORY_BYTES)
    yield pool
    use(None)
    pool.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """With the pipelines of these tests."""
    sandbox = Sandbox("tests.pool_work", memory_bytes=MEMORY_BYTES, size=1)
    yield sandbox
    sandbox.close()


def pid(pool: ProcessPool) -> int:
    return pool.call(pool_work.process_id, seconds=SECONDS)


def test_a_call_returns_what_the_function_returned(pool: ProcessPool) -> None:
    assert pool.call(operator.add, 40, 2, seconds=SECONDS) == 42


def test_a_process_is_started_at_the_first_call_and_kept(pool: ProcessPool) -> None:
    assert pool.pids == set()
    first = pid(pool)
    assert first != os.getpid()
    assert pid(pool) == first
    assert pool.pids == {first}


def test_the_event_loop_goes_first_where_cores_are_few(pool: ProcessPool) -> None:
    assert pool.call(pool_work.niceness, seconds=SECONDS) > os.nice(0)


def test_an_event_travels_both_ways_unchanged(pool: ProcessPool) -> None:
    made = Event("comment.created", ("thread:1",), {"text": "Grüße"}, flags={"new": True})
    read = Event.from_json(made.to_json())
    changed = read.with_data({"text": "x" * 100_000})
    for event in (made, read, changed):
        copy = pool.call(operator.methodcaller("with_version", 7), event, seconds=SECONDS)
        assert copy == event.with_version(7)
        assert copy.to_json() == event.with_version(7).to_json()


def test_what_the_function_raises_is_raised_here(pool: ProcessPool) -> None:
    before = pid(pool)
    with pytest.raises(ValueError, match="^too blue") as raised:
        pool.call(pool_work.fail, ValueError, "too blue", seconds=SECONDS)
    assert "in fail" in raised.value.__notes__[0]
    assert pid(pool) == before


def test_an_error_that_cannot_travel_is_told_by_its_text(pool: ProcessPool) -> None:
    before = pid(pool)
    with pytest.raises(RuntimeError, match="NeedsTwo: one two"):
        pool.call(pool_work.fail, pool_work.NeedsTwo, "one", "two", seconds=SECONDS)
    with pytest.raises(RuntimeError, match="ValueError: <function"):
        pool.call(pool_work.fail_with_a_function, seconds=SECONDS)
    with pytest.raises(TransientError, match="NeedsTwoForNow: one two"):
        pool.call(pool_work.fail, pool_work.NeedsTwoForNow, "one", "two", seconds=SECONDS)
    assert pid(pool) == before


def test_a_function_that_no_module_holds_is_refused_before_anything_starts(
    pool: ProcessPool,
) -> None:
    with pytest.raises(Exception, match="lambda"):
        pool.call(lambda: None, seconds=SECONDS)
    assert pool.pids == set()


def test_a_result_that_cannot_travel_is_an_error(pool: ProcessPool) -> None:
    with pytest.raises(Exception, match="lambda"):
        pool.call(pool_work.a_function, seconds=SECONDS)


@pytest.mark.parametrize("function", [pool_work.compute_for_ever, signal.pause])
def test_a_call_that_takes_too_long_ends_with_its_process(
    pool: ProcessPool, function: object
) -> None:
    before = pid(pool)
    with pytest.raises(DeadlineExceeded):
        pool.call(function, seconds=0.1)  # type: ignore[arg-type]
    assert is_gone(before)
    assert pid(pool) != before


def test_what_a_killed_process_has_started_ends_with_it(pool: ProcessPool) -> None:
    started = pool.call(pool_work.start_another, seconds=SECONDS)
    assert not is_gone(started)
    pool.close()
    wait_until(lambda: is_gone(started), SECONDS, "the other process has ended")


def test_a_segmentation_fault_is_told_and_its_process_replaced(pool: ProcessPool) -> None:
    before = pid(pool)
    with pytest.raises(ProcessDied, match="SIGSEGV") as raised:
        pool.call(pool_work.crash, seconds=SECONDS)
    assert raised.value.returncode == -signal.SIGSEGV
    assert pid(pool) != before


def test_an_exit_is_told_with_its_status(pool: ProcessPool) -> None:
    with pytest.raises(ProcessDied, match="exit status 3$"):
        pool.call(pool_work.leave, 3, seconds=SECONDS)
    with pytest.raises(ProcessDied, match="exit status 4$"):
        pool.call(pool_work.leave_politely, 4, seconds=SECONDS)
    assert pid(pool)


def test_more_memory_than_there_may_be_is_a_memory_error(pool: ProcessPool) -> None:
    before = pid(pool)
    with pytest.raises(MemoryError):
        pool.call(pool_work.hoard_at_once, seconds=SECONDS)
    with pytest.raises(MemoryError):
        pool.call(pool_work.hoard_bit_by_bit, seconds=SECONDS)
    assert pid(pool) == before


def test_a_result_beyond_the_bound_is_not_taken_in() -> None:
    pool = ProcessPool(1, result_bytes=1_000_000)
    try:
        assert len(pool.call(pool_work.many_bytes, 999_000, seconds=SECONDS)) == 999_000
        before = pid(pool)
        with pytest.raises(ResultTooLarge, match="at most 1000000"):
            pool.call(pool_work.many_bytes, 1_000_000, seconds=SECONDS)
        assert pid(pool) != before
    finally:
        pool.close()


def test_a_process_killed_between_calls_is_replaced_unnoticed(pool: ProcessPool) -> None:
    before = pid(pool)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: is_gone(before), SECONDS, "it is gone")
    assert pid(pool) != before


def test_the_signals_that_stop_a_worker_leave_its_calls_alone(pool: ProcessPool) -> None:
    before = pid(pool)
    os.kill(before, signal.SIGTERM)
    os.kill(before, signal.SIGINT)
    assert pid(pool) == before


def test_a_pool_that_was_closed_has_no_processes_and_takes_no_calls(pool: ProcessPool) -> None:
    before = pid(pool)
    pool.close()
    pool.close()
    assert is_gone(before)
    assert pool.pids == set()
    with pytest.raises(PoolClosed):
        pid(pool)


def test_a_process_is_prepared_before_its_first_call() -> None:
    pool = ProcessPool(1, prepare=partial(os.putenv, "PREPARED", "yes"))
    found = pool.call(subprocess.getoutput, "echo $PREPARED", seconds=SECONDS)
    pool.close()
    assert found == "yes"


def test_a_process_that_cannot_be_prepared_says_so() -> None:
    pool = ProcessPool(1, prepare=partial(import_module, "no_such_module"))
    with pytest.raises(TransientError, match="did not start: No module named 'no_such_module'"):
        pool.call(operator.add, 1, 2, seconds=SECONDS)
    assert pool.pids == set()
    pool.close()


def test_a_pool_of_no_processes_is_refused() -> None:
    with pytest.raises(ValueError, match="size 0"):
        ProcessPool(0)


EVENT = Event("heavy.now", ("thread:1",), {"number": 1})


def test_a_heavy_stage_runs_where_it_is_called_when_there_is_no_pool() -> None:
    data = pool_work.HeavyPipeline().transform(EVENT).data
    here = os.getpid()
    assert data == {
        "number": 1,
        "inner": here,
        "heavy": here,
        "heavier": here,
        "outer": here,
        "pipeline": "HeavyPipeline",
    }


def test_a_heavy_stage_runs_in_the_pool_with_all_that_it_leads_to(pool: ProcessPool) -> None:
    use(pool)
    data = pool_work.HeavyPipeline().transform(EVENT).data
    here, (there,) = os.getpid(), pool.pids
    assert data == {
        "number": 1,
        "inner": there,
        "heavy": there,
        "heavier": there,
        "outer": here,
        "pipeline": "HeavyPipeline",
    }


def test_a_heavy_stage_keeps_its_name_and_its_docstring() -> None:
    assert pool_work.HeavyMixin.transform.__name__ == "transform"
    assert pool_work.HeavyMixin.transform.__doc__ == "Also says who it is."


def test_a_heavy_stage_that_takes_too_long_has_failed_for_now(pool: ProcessPool) -> None:
    use(pool)
    with pytest.raises(TransientError):
        pool_work.EndlessPipeline().run(EVENT)


def test_the_sandbox_makes_the_frames_that_the_worker_would_make(sandbox: Sandbox) -> None:
    event = Event("comment.created", ("thread:1",), {"number": 1})
    expected = load_pipelines("tests.pool_work").for_type(event.type).run(event)
    assert sandbox.run(event, SECONDS) == expected


@pytest.mark.parametrize(
    ("poison", "arguments", "error"),
    [
        ("crash", [], ProcessEnded),
        ("leave", [0], ProcessEnded),
        ("hoard_bit_by_bit", [], MemoryError),
        ("a_name_that_is_none", [], KeyError),
    ],
)
def test_poison_in_the_sandbox_is_told_and_the_next_event_passes(
    sandbox: Sandbox, poison: str, arguments: list[int], error: type[Exception]
) -> None:
    with pytest.raises(error):
        sandbox.run(
            Event("poison.now", ("thread:1",), {"poison": poison, "arguments": arguments}), SECONDS
        )
    assert sandbox.run(EVENT, SECONDS)


def test_an_endless_stage_in_the_sandbox_is_ended() -> None:
    sandbox = Sandbox("tests.pool_work", cpu_seconds=1)
    poison = {"poison": "compute_for_ever", "arguments": []}
    with pytest.raises(ProcessEnded, match="SIGXCPU"):
        sandbox.run(Event("poison.now", ("thread:1",), poison), SECONDS)
    sandbox.close()


def test_a_stage_that_waits_in_the_sandbox_has_its_pipelines_time() -> None:
    sandbox = Sandbox("tests.pool_work", cpu_seconds=1)
    patience = {"poison": "wait", "arguments": [1.5]}
    assert sandbox.run(Event("poison.now", ("thread:1",), patience), SECONDS)
    with pytest.raises(ProcessEnded, match="no answer in time"):
        sandbox.run(
            Event("poison.now", ("thread:1",), {"poison": "wait", "arguments": [3600]}), 0.1
        )
    sandbox.close()


def test_a_hundred_megabytes_of_output_in_the_sandbox_stay_there() -> None:
    sandbox = Sandbox("tests.pool_work")
    with pytest.raises(ProcessEnded, match="return at most"):
        sandbox.run(Event("words.now", ("thread:1",), {}), SECONDS)
    sandbox.close()
