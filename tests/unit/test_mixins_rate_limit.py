"""How many events of a key pass in a time, and what is remembered of it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formatter import Pipeline
from formatter.errors import InvalidPipelines
from formatter.mixins import RateLimitMixin
from formatter.mixins.rate_limit import (
    ADMITTED_REMEMBERED,
    KEY_BYTES,
    TIME_BYTES,
    RecentEvents,
)
from pushgate import Event


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Typing(RateLimitMixin, Pipeline):
    rate_limit = "3/second"


def limiting(clock: Clock, **attributes: Any) -> Pipeline:
    made = type("Typing", (Typing,), {"_clock": staticmethod(clock), **attributes})()
    assert isinstance(made, Pipeline)
    return made


def event(key: str = "thread:1", kind: str = "comment.typing", **data: Any) -> Event:
    return Event(kind, ("thread:1",), data, key=key)


def test_so_many_pass_in_any_such_time(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    pipeline = limiting(clock)
    passed = []
    for _ in range(12):
        passed.append(bool(pipeline.run(event())))
        clock.now += 0.2
    # One leaves the last second for each that comes, of those that passed.
    assert passed == [True, True, True, False, False] * 2 + [True, True]
    assert caplog.text.count("Typing: events above 3/second dropped: 1 more") == 1


def test_keys_are_counted_apart() -> None:
    pipeline = limiting(Clock())
    assert all(pipeline.admit(event(f"thread:{n}")) for n in range(100))


def test_a_host_says_what_is_limited() -> None:
    class ByAuthor(Typing):
        def rate_limit_by(self, event: Event) -> str:
            return str(event.data["author"])

    pipeline = ByAuthor()
    admitted = [pipeline.admit(event(f"thread:{n}", author=7)) for n in range(5)]
    assert admitted == [True, True, True, False, False]


def test_an_event_that_is_tried_again_is_not_counted_again() -> None:
    pipeline = limiting(Clock())
    first = event()
    assert all(pipeline.admit(first) for _ in range(10))
    assert pipeline.admit(event())
    assert pipeline.admit(event())
    assert not pipeline.admit(event())
    assert pipeline.admit(first)


def test_events_remembered_for_another_attempt_are_bounded() -> None:
    pipeline = Typing()
    for number in range(ADMITTED_REMEMBERED + 10):
        pipeline.admit(event(f"thread:{number}"))
    assert len(pipeline._passed_ids) == ADMITTED_REMEMBERED


def test_only_the_types_named_are_limited() -> None:
    pipeline = limiting(Clock(), rate_limit_types=("comment.typing",))
    assert [pipeline.admit(event()) for _ in range(4)] == [True, True, True, False]
    assert all(pipeline.admit(event(kind="comment.deleted")) for _ in range(10))


def test_what_another_mixin_drops_does_not_count() -> None:
    class Dropping(Pipeline):
        def admit(self, event: Event) -> bool:
            return not event.data.get("dropped")

    class Both(RateLimitMixin, Dropping, Pipeline):
        rate_limit = "3/second"

    pipeline = Both()
    assert not any(pipeline.admit(event(dropped=True)) for _ in range(10))
    assert [pipeline.admit(event()) for _ in range(3)] == [True, True, True]


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"rate_limit": ""}, "Wrong: RateLimitMixin needs rate_limit = '10/second'"),
        ({"rate_limit": 10}, "Wrong.rate_limit = 10: use 1 to 10000 events in a time"),
        ({"rate_limit": "often"}, "Wrong.rate_limit = 'often': use 1 to 10000 events"),
        ({"rate_limit": "0/second"}, "use 1 to 10000 events"),
        ({"rate_limit": "20000/day"}, "use 1 to 10000 events"),
        ({"rate_limit": "1/second;9/minute"}, "use 1 to 10000 events"),
        ({"rate_limit_types": "comment.typing"}, "Wrong.rate_limit_types = 'comment.typing'"),
        ({"rate_limit_bytes": 300}, "Wrong.rate_limit_bytes = 300: use a whole number from 350"),
    ],
)
def test_a_wrong_attribute_is_told_at_start(attributes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidPipelines, match=sentence):
        type("Wrong", (Typing,), attributes)()


def test_no_thread_is_started() -> None:
    before = threading.active_count()
    pipeline = Typing()
    pipeline.admit(event())
    assert threading.active_count() == before


def test_keys_that_have_been_quiet_are_forgotten() -> None:
    recent = RecentEvents(3, 1.0, 10**9)
    for number in range(100_000):
        recent.take(f"thread:{number}", number / 1000)
    assert len(recent) == 1000


def test_what_is_remembered_is_bounded() -> None:
    recent = RecentEvents(3, 1.0, 1000 * (KEY_BYTES + TIME_BYTES))
    for number in range(100_000):
        assert recent.take(f"thread:{number}", 0.0)
    assert len(recent) == 1000
    for _ in range(3):
        recent.take("thread:99999", 0.0)
    assert not recent.take("thread:99999", 0.0)
    assert len(recent) < 1000


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from([0.0, 0.1, 0.4, 1.0, 3.0])), max_size=60
    ),
    amount=st.integers(1, 4),
)
def test_no_more_than_allowed_pass_in_any_window_and_no_fewer(
    steps: list[tuple[str, float]], amount: int
) -> None:
    recent = RecentEvents(amount, 1.0, 10**9)
    now = 0.0
    passed: dict[str, list[float]] = {"a": [], "b": []}
    for key, pause in steps:
        now += pause
        in_window = sum(moment > now - 1.0 for moment in passed[key])
        assert recent.take(key, now) == (in_window < amount)
        if in_window < amount:
            passed[key].append(now)


def test_beyond_the_bound_the_key_that_was_quiet_longest_is_forgotten() -> None:
    recent = RecentEvents(2, 1.0, 2 * KEY_BYTES + 3 * TIME_BYTES)
    assert recent.take("busy", 0.0)
    assert recent.take("quiet", 0.1)
    assert recent.take("busy", 0.2)
    assert recent.take("new", 0.3)
    assert not recent.take("busy", 0.4)
    assert recent.take("quiet", 0.4)
