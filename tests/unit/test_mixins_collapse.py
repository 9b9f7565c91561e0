"""Bursts become one frame that keeps the count, whatever comes between and whenever it dies."""

from __future__ import annotations

import json
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formatter import Pipeline
from formatter.errors import EventExpired, InvalidPipelines
from formatter.mixins import CollapseBurstsMixin, DropOldMixin
from formatter.mixins.collapse import AT_ONCE_SECONDS
from pushgate import Event, Frame

CREATED, DELETED, UPDATED = "comment.created", "comment.deleted", "comment.updated"
BEGAN = 1_750_000_000.0
HOT = ("thread:1",)


@dataclass
class Clock:
    """Seconds that pass when told to, by both clocks alike."""

    now: float = BEGAN

    def __call__(self) -> float:
        return self.now


class Shouting(Pipeline):
    """Works on what has a text, fails at what has none, and admits no secrets."""

    def admit(self, event: Event) -> bool:
        return not event.data.get("secret") and super().admit(event)

    def enrich(self, event: Event) -> Event:
        return event.with_data({**event.data, "author": event.data["author_id"]})

    def transform(self, event: Event) -> Event:
        return event.with_data({**event.data, "text": event.data["text"].upper()})


class Comment(CollapseBurstsMixin, Shouting, Pipeline):
    burst_types = (CREATED, UPDATED)
    burst_type = "comment.burst"
    burst_keeps = ("thread", "author_id")


def pipeline(clock: Clock, **attributes: Any) -> Comment:
    """A pipeline for which time passes as `clock` says."""
    on_clock = {"_clock": staticmethod(clock), "_wall_clock": staticmethod(clock)}
    made = type("Clocked", (Comment,), {**on_clock, **attributes})()
    assert isinstance(made, Comment)
    return made


def comment(number: int, clock: Clock, kind: str = CREATED, **data: Any) -> Event:
    return Event(
        kind,
        HOT,
        {"thread": 1, "author_id": number, "text": "so", **data},
        key="thread:1",
        object=f"threads.comment:{number}",
        version=number + 1,
        at=datetime.fromtimestamp(clock.now, UTC).isoformat(),
    )


def comments(count: int, clock: Clock, **data: Any) -> list[Event]:
    return [comment(number, clock, **data) for number in range(count)]


def data_of(frame: Frame) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(frame.data.split(b"\n")[1][6:])
    return value


def test_the_first_pass_and_the_next_is_held_for_the_rest_of_the_time() -> None:
    clock = Clock()
    collapsing = pipeline(clock)
    held = []
    for number in range(6):
        held.append(collapsing.gather(comment(number, clock)))
        clock.now += 0.1
    assert held == [0, 0, 0, 0, 0, pytest.approx(0.5)]


def test_after_the_time_they_pass_again() -> None:
    clock = Clock()
    collapsing = pipeline(clock)
    for event in comments(5, clock):
        assert collapsing.gather(event) == 0
    clock.now += 1.0
    for event in comments(5, clock):
        assert collapsing.gather(event) == 0


def test_while_the_burst_lasts_they_are_held_from_the_first_on() -> None:
    clock = Clock()
    collapsing = pipeline(clock)
    collapsing.collapse(comments(5, clock))
    assert collapsing.gather(comment(9, clock)) == pytest.approx(1.0)
    clock.now += 1.0
    assert collapsing.gather(comment(10, clock)) == 0


def test_a_burst_that_got_smaller_lets_them_pass() -> None:
    clock = Clock()
    collapsing = pipeline(clock)
    collapsing.collapse(comments(3, clock))
    held = [collapsing.gather(event) for event in comments(3, clock)]
    assert held == [0, 0, pytest.approx(1.0)]


def test_what_is_old_is_held_no_longer_and_still_collapses() -> None:
    clock = Clock()
    collapsing = pipeline(clock)
    old = comment(9, clock)
    clock.now += 0.7
    collapsing.collapse(comments(5, clock))
    assert collapsing.gather(old) == pytest.approx(0.3)
    clock.now += 0.3
    assert collapsing.gather(old) == AT_ONCE_SECONDS


def test_a_clock_that_runs_ahead_holds_no_longer() -> None:
    clock = Clock()
    collapsing = pipeline(clock)
    ahead = comment(9, Clock(clock.now + 60))
    collapsing.collapse(comments(5, clock))
    assert collapsing.gather(ahead) == pytest.approx(1.0)


def test_channels_are_told_apart_and_other_types_never_held() -> None:
    clock = Clock()
    collapsing = pipeline(clock)
    for event in comments(5, clock):
        collapsing.gather(event)
    first = comment(6, clock)
    elsewhere = replace(first, channels=("thread:2",))
    assert collapsing.gather(first) > 0
    assert collapsing.gather(elsewhere) == 0
    assert collapsing.gather(comment(7, clock, DELETED)) == 0
    assert collapsing.joins(first, comment(7, clock, UPDATED))
    assert not collapsing.joins(first, comment(7, clock, DELETED))
    assert not collapsing.joins(first, elsewhere)


def test_so_many_keys_are_remembered() -> None:
    clock = Clock()
    collapsing = pipeline(clock, burst_keys=10, burst_events=1)
    events = [replace(comment(0, clock), key=f"thread:{n}") for n in range(30)]
    for event in events:
        assert collapsing.gather(event) == 0
    assert collapsing.gather(events[29]) > 0
    assert collapsing.gather(events[20]) > 0
    assert collapsing.gather(events[19]) == 0
    assert len(collapsing._windows) == 10


def test_the_frame_says_how_many_of_what() -> None:
    clock = Clock()
    events = comments(3, clock)
    clock.now += 0.5
    events.append(comment(1, clock, UPDATED))
    collapsing = pipeline(clock)
    (frame,) = collapsing.run(collapsing.collapse(events))
    assert frame.data.startswith(b"event: comment.burst\n")
    assert data_of(frame) == {
        "event_id": events[3].id,
        "object": "",
        "version": 0,
        "at": events[3].at,
        "channels": ["thread:1"],
        "thread": 1,
        "count": 4,
        "types": {CREATED: 3, UPDATED: 1},
        "objects": {
            "threads.comment:0": CREATED,
            "threads.comment:1": UPDATED,
            "threads.comment:2": CREATED,
        },
        "unlisted": 0,
        "since": events[0].at,
    }


def test_so_many_objects_are_listed_and_the_others_counted() -> None:
    clock = Clock()
    nameless = replace(comment(9, clock), object="")
    collapsed = pipeline(clock, burst_objects=3).collapse([*comments(5, clock), nameless])
    assert list(collapsed.data["objects"]) == [f"threads.comment:{n}" for n in range(3)]
    assert collapsed.data["unlisted"] == 3
    assert collapsed.data["count"] == 6


def test_only_what_is_admitted_counts() -> None:
    clock = Clock()
    collapsing = pipeline(clock)
    secret = comments(3, clock, secret=True)
    collapsed = collapsing.collapse([secret[0], *comments(2, clock), *secret[1:]])
    assert collapsed.data["count"] == 2
    assert collapsing.run(collapsed)


def test_the_only_one_admitted_goes_as_it_is() -> None:
    clock = Clock()
    collapsing = pipeline(clock)
    only = comment(5, clock)
    collapsed = collapsing.collapse([only, *comments(3, clock, secret=True)])
    assert collapsed is only
    (frame,) = collapsing.run(collapsed)
    assert data_of(frame)["text"] == "SO"


def test_when_none_is_admitted_there_is_no_frame() -> None:
    clock = Clock()
    collapsing = pipeline(clock)
    assert collapsing.run(collapsing.collapse(comments(3, clock, secret=True))) == ()


def test_what_has_grown_too_old_is_not_counted() -> None:
    class Aging(CollapseBurstsMixin, DropOldMixin, Pipeline):
        burst_types = (CREATED,)
        burst_type = "comment.burst"
        longest_age_seconds = 3600

    clock = Clock(time.time())
    long_ago = comments(3, Clock(clock.now - 7200))
    pipeline = Aging()
    assert pipeline.collapse([*long_ago, *comments(2, clock)]).data["count"] == 2
    with pytest.raises(EventExpired):
        pipeline.run(pipeline.collapse(long_ago))


def test_other_types_and_channels_are_told_of_when_they_come_along() -> None:
    clock = Clock()
    deleted = comment(1, clock, DELETED)
    elsewhere = replace(comment(2, clock), channels=("thread:2", "thread:1"))
    collapsed = pipeline(clock).collapse([comment(0, clock), deleted, elsewhere])
    assert collapsed.channels == ("thread:1", "thread:2")
    assert collapsed.data["objects"]["threads.comment:1"] == DELETED
    assert collapsed.data["types"] == {CREATED: 2, DELETED: 1}


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"burst_types": ()}, "CollapseBurstsMixin needs burst_types = "),
        ({"burst_types": CREATED}, "burst_types = 'comment.created': use a tuple"),
        ({"burst_type": ""}, "CollapseBurstsMixin needs burst_type = "),
        ({"burst_type": "Burst!"}, "Wrong.burst_type: type 'Burst!': use words"),
        ({"burst_type": CREATED}, "Wrong.burst_type = 'comment.created': use a type of its own"),
        ({"burst_events": 0}, "Wrong.burst_events = 0: use a whole number from 1 to 1000"),
        ({"burst_events": 2.5}, "Wrong.burst_events = 2.5: use a whole number"),
        ({"burst_seconds": 6}, "Wrong.burst_seconds = 6: use a number above 0 to 5"),
        ({"burst_seconds": 0}, "Wrong.burst_seconds = 0: use a number above 0 to 5"),
        ({"burst_keys": True}, "Wrong.burst_keys = True: use a whole number"),
        ({"burst_keeps": ("count",)}, "Wrong.burst_keeps: count is the burst's own"),
        ({"burst_keeps": ("at",)}, "Wrong.burst_keeps: at is the burst's own"),
    ],
)
def test_a_wrong_attribute_is_told_at_start(attributes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidPipelines, match=sentence):
        type("Wrong", (Comment,), attributes)()


def test_what_would_work_on_the_one_that_stands_for_others_is_refused() -> None:
    class Wrong(Shouting, CollapseBurstsMixin, Pipeline):
        burst_types = (CREATED,)
        burst_type = "comment.burst"

    with pytest.raises(InvalidPipelines, match="put CollapseBurstsMixin left of Shouting"):
        Wrong()


@dataclass
class Lane:
    """One key's jobs as the worker works them, with a process that may die at any moment.

    What was published is written in the step that ends the jobs, so a death before it leaves both
    as they were; the next process knows nothing of the last one's bursts.
    """

    arriving: deque[Event]
    clock: Clock
    seed: int
    knows_joins: bool
    waiting: deque[Event] = field(default_factory=deque)
    published: list[dict[str, Any]] = field(default_factory=list)
    longest_seconds: float = 0.0
    deaths: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._pipeline = pipeline(self.clock)

    def run(self) -> None:
        while self.arriving or self.waiting:
            if not self.waiting:
                self.clock.now = max(self.clock.now, _moment(self.arriving[0]))
            self._receive()
            seconds = self._pipeline.gather(self.waiting[0])
            if self._dies():
                continue
            together = 1
            if seconds > 0:
                self.clock.now += seconds
                self._receive()
                if self._dies():
                    continue
                together = self._together()
            taken = [self.waiting[place] for place in range(together)]
            event = self._pipeline.collapse(taken) if together > 1 else taken[0]
            frames = self._pipeline.run(event)
            if self._dies():
                continue
            for _ in taken:
                self.waiting.popleft()
            self.published += map(data_of, frames)
            waited = max(self.clock.now - _moment(event) for event in taken)
            self.longest_seconds = max(self.longest_seconds, waited)

    def _receive(self) -> None:
        while self.arriving and _moment(self.arriving[0]) <= self.clock.now:
            self.waiting.append(self.arriving.popleft())

    def _together(self) -> int:
        first = self.waiting[0]
        if not self.knows_joins:
            return min(len(self.waiting), 400)
        together = 0
        while together < len(self.waiting) and self._pipeline.joins(first, self.waiting[together]):
            together += 1
        return together

    def _dies(self) -> bool:
        if self.deaths < 20 and self._chance.random() < 0.1:
            self.deaths += 1
            self._pipeline = pipeline(self.clock)
            return True
        return False


def _moment(event: Event) -> float:
    return datetime.fromisoformat(event.at).timestamp()


@st.composite
def arrivals(draw: st.DrawFn) -> list[Event]:
    """Events of one key: bursts and pauses, mostly of one type and channel."""
    clock = Clock()
    events = []
    kinds = st.sampled_from([CREATED] * 8 + [UPDATED, DELETED])
    channels = st.sampled_from([HOT] * 8 + [("thread:2",), ("thread:1", "user:1")])
    for number in range(draw(st.integers(1, 60))):
        clock.now += draw(st.sampled_from([0.0, 0.001, 0.02, 0.3, 2.0]))
        event = comment(number, clock, draw(kinds))
        events.append(replace(event, channels=draw(channels)))
    return events


def _counted(published: Sequence[dict[str, Any]]) -> list[str]:
    """The objects that the frames stand for, in their order."""
    told: list[str] = []
    for data in published:
        told += data["objects"] if "count" in data else [data["object"]]
    return told


@given(events=arrivals(), seed=st.integers(0, 1000), knows_joins=st.booleans())
def test_every_event_counts_once_in_order_wherever_the_process_dies(
    events: list[Event], seed: int, knows_joins: bool
) -> None:
    lane = Lane(deque(events), Clock(), seed, knows_joins)
    lane.run()
    assert sum(data.get("count", 1) for data in lane.published) == len(events)
    assert _counted(lane.published) == [event.object for event in events]
    ids = [data["event_id"] for data in lane.published]
    assert len(set(ids)) == len(ids)
    assert all(data["event_id"] in {event.id for event in events} for data in lane.published)


@given(events=arrivals(), seed=st.integers(0, 1000))
def test_what_is_not_of_its_types_or_channels_goes_alone(events: list[Event], seed: int) -> None:
    lane = Lane(deque(events), Clock(), seed, knows_joins=True)
    lane.run()
    assert all(DELETED not in data.get("types", ()) for data in lane.published)
    alone = {data["object"] for data in lane.published}
    assert {event.object for event in events if event.type == DELETED} <= alone
    channels = {event.object: list(event.channels) for event in events}
    for data in lane.published:
        assert all(channels[name] == data["channels"] for name in data.get("objects", ()))


@given(events=arrivals(), seed=st.integers(0, 1000))
def test_no_event_waits_longer_than_a_burst_lasts(events: list[Event], seed: int) -> None:
    lane = Lane(deque(events), Clock(), seed, knows_joins=True)
    lane.run()
    # Each look takes a moment; a death begins the wait anew, but not beyond the event's age.
    assert lane.longest_seconds <= 1.0 + 0.001 + AT_ONCE_SECONDS * 2 * (len(events) + lane.deaths)
