"""When calls pass, when they are held back, and who tries again."""

from __future__ import annotations

import threading

import pytest

from formatter.circuit import Circuit, CircuitOpen
from formatter.errors import TransientError
from stack.process import wait_until


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit("http://api", failures=3, seconds=5.0, clock=clock)


def fail(circuit: Circuit, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(TransientError, match="500"), circuit.passing():
            raise TransientError("500")


def succeed(circuit: Circuit) -> None:
    with circuit.passing():
        pass


def test_it_opens_after_so_many_failures_in_a_row(circuit: Circuit) -> None:
    fail(circuit, 2)
    succeed(circuit)
    fail(circuit, 2)
    assert not circuit.is_open
    fail(circuit)
    assert circuit.is_open
    with pytest.raises(CircuitOpen, match="http://api failed a moment ago"), circuit.passing():
        pytest.fail("an open circuit let a call through")


def test_an_error_that_is_an_answer_is_no_failure(circuit: Circuit) -> None:
    for _ in range(5):
        with pytest.raises(LookupError), circuit.passing():
            raise LookupError
    assert not circuit.is_open


def test_a_trial_that_succeeds_closes_it(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    clock.now += 5.0
    succeed(circuit)
    assert not circuit.is_open
    fail(circuit, 2)
    assert not circuit.is_open


def test_a_trial_that_fails_opens_it_anew(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    clock.now += 5.0
    fail(circuit)
    clock.now += 4.9
    with pytest.raises(CircuitOpen), circuit.passing():
        pytest.fail("tried too early")
    clock.now += 0.1
    succeed(circuit)
    assert not circuit.is_open


def test_one_call_tries_while_the_others_are_held_back(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    clock.now += 5.0
    with circuit.passing(), pytest.raises(CircuitOpen), circuit.passing():
        pytest.fail("two calls tried")
    succeed(circuit)


def test_a_trial_that_is_ended_from_outside_leaves_the_next_to_try(
    circuit: Circuit, clock: Clock
) -> None:
    fail(circuit, 3)
    clock.now += 5.0
    with pytest.raises(KeyboardInterrupt), circuit.passing():
        raise KeyboardInterrupt
    assert circuit.is_open
    succeed(circuit)
    assert not circuit.is_open


def test_calls_begun_before_it_opened_do_not_count(circuit: Circuit, clock: Clock) -> None:
    with circuit.passing():
        fail(circuit, 3)
    assert circuit.is_open


def test_calls_overlap() -> None:
    circuit = Circuit("http://api", failures=3, seconds=5.0)
    everybody = threading.Barrier(20, timeout=30)

    def call() -> None:
        with circuit.passing():
            everybody.wait()

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not everybody.broken
    assert not circuit.is_open


def test_who_may_wait_passes_when_the_trial_has_succeeded() -> None:
    circuit = Circuit("http://api", failures=1, seconds=0.001)
    fail(circuit)
    passed: list[int] = []

    def call(number: int) -> None:
        with circuit.passing(wait_seconds=30):
            passed.append(number)

    threads = [threading.Thread(target=call, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(passed) == list(range(20))
    wait_until(lambda: not circuit.is_open, 60, "the circuit is closed")


def test_who_waits_in_vain_is_told(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    told = threading.Event()

    def call() -> None:
        with pytest.raises(CircuitOpen), circuit.passing(wait_seconds=0.05):
            pytest.fail("an open circuit let a call through")
        told.set()

    thread = threading.Thread(target=call)
    thread.start()
    # The circuit's clock stands still until here, so the wait is looked at again and again.
    clock.now += 1.0
    thread.join(30)
    assert told.is_set()
