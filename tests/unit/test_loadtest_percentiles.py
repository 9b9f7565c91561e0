"""Percentiles are values that were measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.percentiles import Percentiles, nearest_rank

numbers = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1)


def test_of_a_hundred_values_they_are_the_obvious_ones() -> None:
    assert Percentiles.of(range(100, 0, -1)) == Percentiles(100, 50, 95, 99, 100)


def test_of_one_value_all_are_that_value() -> None:
    assert Percentiles.of([3.5]) == Percentiles(1, 3.5, 3.5, 3.5, 3.5)


def test_of_nothing_all_are_zero() -> None:
    assert Percentiles.of([]) == Percentiles(0, 0, 0, 0, 0)


@given(numbers, st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_enough_values_are_at_or_below(values: list[float], share: float) -> None:
    found = nearest_rank(sorted(values), share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.51, 3), (0.75, 3), (0.76, 4), (1.0, 4)])
def test_the_nearest_rank_is_rounded_up(share: float, value: float) -> None:
    assert nearest_rank([1, 2, 3, 4], share) == value
