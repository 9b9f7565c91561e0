"""How often a check reads books that do not balance."""

from types import SimpleNamespace

import pytest
import redis

from pushgate import Keys, auditing
from pushgate.auditing import Auditor
from pushgate.books import Books
from pushgate.sheet import Sheet


class Clock:
    """Time that passes where it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(("reading_seconds", "pause_seconds"), [(0.0, 0.2), (7.0, 7.0)])
def test_a_check_reads_no_more_than_half_of_the_time(
    monkeypatch: pytest.MonkeyPatch, reading_seconds: float, pause_seconds: float
):
    clock = Clock()
    monkeypatch.setattr(auditing, "time", SimpleNamespace(monotonic=lambda: clock.now))
    auditor = Auditor(redis.Redis(), Keys("test"), 4)

    def read() -> tuple[Sheet, Books | None]:
        clock.now += reading_seconds
        return Sheet([], [], ["the gateway is behind"], []), None

    monkeypatch.setattr(auditor, "_read", read)
    assert not auditor.check(30, clock.sleep).balances
    assert clock.slept
    assert set(clock.slept) == {pause_seconds}
