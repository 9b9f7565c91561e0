"""What goes to the dark system, and that the real one neither waits for it nor fails with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

from formatter import Pipeline
from formatter.errors import InvalidPipelines
from formatter.mixins import DarktimeMixin, FlagMixin
from formatter.mixins.darktime import PAUSE_SECONDS, Copies
from formatter.seldom import SeldomWarning
from pushgate import Event, MemoryJobQueue
from stack.process import wait_until

DEADLINE_SECONDS = 90


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Scripted(MemoryJobQueue):
    """A queue whose every put does first what the test says."""

    def __init__(self, before_put: Callable[[], object]) -> None:
        super().__init__(partitions=4)
        self.before_put = before_put
        self.came: list[Event] = []

    def put(self, event: Event) -> bool:
        self.before_put()
        self.came.append(event)
        return super().put(event)


class Comment(DarktimeMixin, FlagMixin, Pipeline):
    darktime_namespace = "dark"
    darktime_share = 1.0
    required_flag = "live"


def events(count: int, keys: int = 1) -> list[Event]:
    return [Event("comment.created", (f"thread:{n % keys}",), {"number": n}) for n in range(count)]


def copying_to(queue: Scripted, clock: Clock | None = None, **attributes: Any) -> Comment:
    """A pipeline whose copies go there."""
    pipeline = type("Comment", (Comment,), attributes)()
    assert isinstance(pipeline, Comment)
    pipeline._copies = Copies(
        queue, pipeline.darktime_backlog, SeldomWarning("copies dropped"), clock or Clock()
    )
    return pipeline


def wait_for(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, DEADLINE_SECONDS, what)


def nothing() -> None:
    """Nothing stands in a copy's way."""


def test_events_are_copied_as_they_came_and_in_order_whatever_becomes_of_them() -> None:
    queue = Scripted(nothing)
    pipeline = copying_to(queue)
    sent = events(200)
    assert not any(pipeline.admit(event) for event in sent)
    wait_for(lambda: pipeline.darktime_copied == 200, "all are copied")
    assert queue.came == sent


def test_a_share_is_one_of_whole_keys() -> None:
    queue = Scripted(nothing)
    pipeline = copying_to(queue, darktime_share=0.25, darktime_backlog=10_000)
    sent = events(4000, keys=1000)
    for event in sent:
        pipeline.admit(event)
    wait_for(lambda: pipeline._copies and not pipeline._copies._is_sending, "all are copied")
    by_key = {event.key: 0 for event in queue.came}
    for event in queue.came:
        by_key[event.key] += 1
    assert set(by_key.values()) == {4}
    assert 150 < len(by_key) < 350


def test_a_slow_queue_holds_nothing_up_and_copies_beyond_the_backlog_are_dropped() -> None:
    go_on = threading.Event()
    queue = Scripted(lambda: go_on.wait(DEADLINE_SECONDS))
    pipeline = copying_to(queue, darktime_backlog=10)
    try:
        for event in events(100):
            pipeline.admit(event)
        # One is on its way at the most, ten wait.
        assert pipeline.darktime_dropped >= 89
    finally:
        go_on.set()
    wait_for(
        lambda: pipeline.darktime_copied + pipeline.darktime_dropped == 100, "the rest is copied"
    )
    assert pipeline.darktime_copied >= 10


def test_a_queue_that_fails_is_left_alone_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise redis.ConnectionError("refused")

    clock = Clock()
    queue = Scripted(fail)
    pipeline = copying_to(queue, clock)
    sent = events(50)
    for event in sent:
        pipeline.admit(event)
    wait_for(lambda: pipeline.darktime_dropped == 50, "all are dropped")
    wait_for(lambda: caplog.text.count("copies dropped") == 1, "it is said once")
    queue.before_put = nothing
    pipeline.admit(sent[0])
    assert pipeline.darktime_dropped == 51
    clock.now += PAUSE_SECONDS
    pipeline.admit(sent[0])
    wait_for(lambda: pipeline.darktime_copied == 1, "copies are sent again")


def test_a_full_queue_drops_that_copy_alone() -> None:
    queue = Scripted(nothing)
    queue._limit = 3
    pipeline = copying_to(queue)
    for event in events(5):
        pipeline.admit(event)
    wait_for(lambda: pipeline.darktime_dropped == 2, "two found no room")
    assert pipeline.darktime_copied == 3


def test_whatever_a_copy_fails_with_the_next_one_is_sent() -> None:
    failures = iter([RuntimeError("something else")])

    def fail_once() -> None:
        for failure in failures:
            raise failure

    pipeline = copying_to(Scripted(fail_once))
    for event in events(3):
        pipeline.admit(event)
    wait_for(lambda: pipeline.darktime_copied == 2, "the others are copied")
    assert pipeline.darktime_dropped == 1


def test_no_thread_is_left_when_there_is_nothing_to_copy() -> None:
    pipeline = copying_to(Scripted(nothing))
    for event in events(3):
        pipeline.admit(event)
    wait_for(
        lambda: not any(thread.name == "darktime" for thread in threading.enumerate()),
        "the thread has ended",
    )
    assert pipeline.darktime_copied == 3


def test_a_share_of_none_turns_it_off_also_in_the_dark_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUSHGATE_NAMESPACE", "dark")
    pipeline = type("Off", (Comment,), {"darktime_share": 0})()
    pipeline.admit(events(1)[0])
    assert (pipeline.darktime_copied, pipeline.darktime_dropped) == (0, 0)


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"darktime_namespace": ""}, "Wrong: DarktimeMixin needs darktime_namespace = 'dark'"),
        ({"darktime_namespace": "Dark"}, "Wrong.darktime_namespace: namespace 'Dark': use"),
        ({"darktime_namespace": "real"}, "'real': that is this formatter's own"),
        ({"darktime_namespace": "real", "darktime_redis_url": "redis://b/0"}, "formatter's own"),
        (
            {"darktime_redis_url": "http://there"},
            "Wrong.darktime_redis_url = 'http://there': use redis",
        ),
        ({"darktime_partitions": 0}, "Wrong.darktime_partitions = 0: use a whole number"),
        ({"darktime_share": 1.5}, "Wrong.darktime_share = 1.5: use a number from 0 to 1"),
        ({"darktime_share": True}, "Wrong.darktime_share = True: use a number from 0 to 1"),
        ({"darktime_backlog": 0}, "Wrong.darktime_backlog = 0: use a whole number from 1"),
    ],
)
def test_a_wrong_attribute_is_told_at_start(
    attributes: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSHGATE_NAMESPACE", "real")
    with pytest.raises(InvalidPipelines, match=sentence):
        type("Wrong", (Comment,), attributes)()
