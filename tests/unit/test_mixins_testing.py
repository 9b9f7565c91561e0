"""`formatter.testing`: what a site's own tests see."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from formatter import Pipeline, Pipelines, TransientError, cpu_heavy
from formatter.errors import InvalidPipelines
from formatter.mixins import RedactMixin
from formatter.testing import run, run_together
from pushgate import Event


class Redacted(RedactMixin, Pipeline):
    audiences = {"moderators:": ("email",)}


class Collapsing(Pipeline):
    def gather(self, event: Event) -> float:
        return 5.0 if event.data["n"] else 0.0

    def collapse(self, events: Sequence[Event]) -> Event:
        return events[-1].with_data({"n": events[-1].data["n"], "count": len(events)})


class Failing(Pipeline):
    def enrich(self, event: Event) -> Event:
        raise TransientError("later")


class Heavy(Pipeline):
    @cpu_heavy
    def transform(self, event: Event) -> Event:
        return super().transform(event).with_data({"process": os.getpid()})


def numbered(n: int, channel: str = "thread:1", type: str = "reply.created") -> Event:
    return Event(type, (channel,), {"n": n})


def test_a_result_is_what_each_channel_gets() -> None:
    event = Event(
        "comment.created", ("thread:1", "moderators:1"), {"email": "a@b", "text": "ä\u2028"}
    )
    result = run(Redacted, event)
    assert set(result) == {"thread:1", "moderators:1"}
    assert result["moderators:1"]["email"] == "a@b"
    assert "email" not in result["thread:1"]
    first, second = result.frames
    assert (first.event, first.channels) == ("comment.created", ("moderators:1",))
    assert second.data["text"] == "ä\u2028"


@pytest.mark.parametrize(
    "pipelines",
    [Redacted, Redacted(), {"a.": Redacted}, Pipelines({"a.b": Redacted}), __name__],
    ids=["class", "instance", "dict", "pipelines", "module"],
)
def test_pipelines_are_given_as_is_convenient(pipelines: object) -> None:
    assert "email" not in run(pipelines, Event("a.b", ("c",), {"email": 1}))["c"]  # type: ignore[arg-type]


pipelines = {"a.": Redacted}


def test_what_a_stage_raises_reaches_the_test() -> None:
    with pytest.raises(TransientError):
        run(Failing, numbered(1))
    with pytest.raises(InvalidPipelines):
        run("no_such_module_at_all", numbered(1))


def test_a_heavy_stage_runs_in_place() -> None:
    assert run(Heavy, numbered(1))["thread:1"]["process"] == os.getpid()


def test_events_that_came_together_are_collapsed_by_key() -> None:
    events = [numbered(1), numbered(2, "thread:2"), numbered(3), numbered(4, "thread:2")]
    one, two = run_together(Collapsing, events)
    assert (one["thread:1"]["count"], one["thread:1"]["n"]) == (2, 3)
    assert (two["thread:2"]["count"], two["thread:2"]["n"]) == (2, 4)


def test_what_is_not_held_back_goes_alone_and_so_does_another_pipelines_event() -> None:
    together = [
        numbered(0),
        numbered(1),
        numbered(2),
        numbered(9, type="thread.closed"),
        numbered(3),
    ]
    results = run_together({"reply.": Collapsing}, together)
    assert [result["thread:1"].get("count") for result in results] == [None, 2, None, None]
    assert [result["thread:1"]["n"] for result in results] == [0, 2, 9, 3]
