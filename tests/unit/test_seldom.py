"""What happens all the time is said once in a while."""

from __future__ import annotations

import pytest

from formatter.seldom import SECONDS_BETWEEN, SeldomWarning


def test_the_first_is_told_and_then_how_many_more(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    warning = SeldomWarning("copies dropped", clock=lambda: now)
    for _ in range(3):
        warning.note("full")
    assert caplog.messages == ["copies dropped: 1 more, the last: full"]
    now = SECONDS_BETWEEN
    warning.note("slow")
    assert caplog.messages[1:] == ["copies dropped: 3 more, the last: slow"]
    assert warning.count == 4
