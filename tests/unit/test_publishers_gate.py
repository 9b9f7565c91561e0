"""How hard a consumer that fails is tried."""

from __future__ import annotations

import random

import pytest

from formatter.publishers.gate import FAILURES_TO_CLOSE, LONGEST_BACKOFF_SECONDS, Gate


@pytest.fixture(autouse=True)
def longest_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: most)


def test_single_failures_close_nothing() -> None:
    gate = Gate()
    for now in range(10):
        gate.failed(now)
        gate.succeeded(now)
    assert not gate.is_closed
    assert gate.opens_at() <= 9


def test_failures_in_a_row_close_it_longer_each_time_within_a_bound() -> None:
    gate = Gate()
    now, waits = 0.0, []
    for _ in range(FAILURES_TO_CLOSE + 12):
        gate.failed(now)
        waits.append(gate.opens_at() - now)
        now = gate.opens_at()
    assert waits[: FAILURES_TO_CLOSE - 1] == [0.0] * (FAILURES_TO_CLOSE - 1)
    rising = waits[FAILURES_TO_CLOSE - 1 :]
    assert rising[:3] == [0.5, 1.0, 2.0]
    assert max(rising) == rising[-1] == LONGEST_BACKOFF_SECONDS


def test_what_was_under_way_when_it_closed_closes_it_no_further() -> None:
    gate = Gate()
    for _ in range(FAILURES_TO_CLOSE):
        gate.failed(5.0)
    closed_until = gate.opens_at()
    for _ in range(10):
        gate.failed(5.0)
    assert gate.opens_at() == closed_until


def test_a_success_opens_it() -> None:
    gate = Gate()
    for _ in range(FAILURES_TO_CLOSE):
        gate.failed(0.0)
    assert gate.is_closed
    gate.succeeded(1.0)
    assert not gate.is_closed
    assert gate.last_success == 1.0


def test_the_consumer_may_ask_for_longer() -> None:
    gate = Gate()
    gate.failed(10.0, retry_after_seconds=30.0)
    assert gate.opens_at() == 40.0
    assert not gate.is_closed
