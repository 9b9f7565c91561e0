"""Which changes of the epoch had a reason."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.faults.watch import Watch


def justified(moves: list[float], losses: list[float]) -> list[bool]:
    watch = Watch(cast(Any, None))
    watch.losses = losses
    watch._moves = [(at, f"{number}", f"{number + 1}") for number, at in enumerate(moves)]
    return [move.justified for move in watch.epochs()]


@pytest.mark.parametrize(
    ("moves", "losses", "expected"),
    [
        ([10.0], [], [False]),
        ([10.0], [9.7], [True]),
        ([10.0], [9.7, 9.9], [True]),
        # Seen late: the epoch changed before anybody had noticed.
        ([10.0], [11.0], [True]),
        ([10.0], [13.0], [False]),
        ([30.0], [9.0], [False]),
        # One loss, however often it was noted, is no reason for a second change.
        ([10.0, 10.1], [9.7, 9.9], [True, False]),
        ([10.0, 11.5], [10.5], [True, False]),
        # Two losses within two seconds are reason for two.
        ([10.0, 11.9], [9.9, 11.8], [True, True]),
        ([10.0, 20.0], [9.9, 19.9], [True, True]),
    ],
)
def test_a_loss_is_reason_for_one_change(
    moves: list[float], losses: list[float], expected: list[bool]
) -> None:
    assert justified(moves, losses) == expected
