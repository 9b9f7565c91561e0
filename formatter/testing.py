"""For a site's own tests: what subscribers see of an event, without Redis and without gevent.

from formatter.testing import run

def test_the_public_sees_no_address():
    seen = run(CommentPipeline, Event("comment.created", ("thread:1",), {"email": "a@b.org"}))
    assert "email" not in seen["thread:1"]
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from formatter.errors import EventExpired
from formatter.pipeline import Pipeline
from formatter.registry import Pipelines, load_pipelines
from pushgate import Event, Frame

AnyPipelines = type[Pipeline] | Pipeline | Pipelines | Mapping[str, type[Pipeline]] | str


@dataclass(frozen=True)
class SeenFrame:
    """A frame as a subscriber reads it.

    Attributes:
        event: the name the browser listens for: the event's type.
        data: what the page gets, the frame's own names (`event_id`, ...) among it.
        channels: who gets it.
    """

    event: str
    data: dict[str, Any]
    channels: tuple[str, ...]

    @classmethod
    def of(cls, frame: Frame) -> SeenFrame:
        """Reads a frame's bytes."""
        event, data = frame.data.decode().removesuffix("\n\n").split("\n")
        return cls(
            event.removeprefix("event: "), json.loads(data.removeprefix("data: ")), frame.channels
        )


class Result(Mapping[str, dict[str, Any]]):
    """What became of an event: the data that a subscriber of each channel gets.

    `result["thread:1"]["html"]`; empty, and so false, when the event was dropped.

    Attributes:
        frames: the frames, in their order.
    """

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = tuple(map(SeenFrame.of, frames))
        # As in the browser, the first frame of an event counts.
        self._data = {
            channel: frame.data for frame in reversed(self.frames) for channel in frame.channels
        }

    def __getitem__(self, channel: str) -> dict[str, Any]:
        return self._data[channel]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return f"Result({self._data!r})"


def run(pipelines: AnyPipelines, event: Event) -> Result:
    """Takes an event through its pipeline, here and now.

    Args:
        pipelines: a class of pipelines; or the dict that `--pipelines` finds, or its module's name,
            and the event's type chooses.
        event: what happened.

    Raises:
        Exception: what a stage raises; in the worker a `TransientError` means another attempt, any
            other a dead letter.
    """
    return _run(_chooser(pipelines)(event), event)


def run_together(pipelines: AnyPipelines, events: Sequence[Event]) -> tuple[Result, ...]:
    """Takes events that came together through their pipelines, as a worker does it: those of a key
    that follow one another are collapsed if the pipeline of the first holds it back to gather.

    Should `collapse` fail, so does this; the worker would go on with each event alone.

    Returns:
        A result for each event that went through the stages, in the order of the first of each.
    """
    pipeline_of = _chooser(pipelines)
    lanes: dict[str, list[Event]] = {}
    for event in events:
        lanes.setdefault(event.key, []).append(event)
    results: dict[str, Result] = {}
    for lane in lanes.values():
        while lane:
            first = lane.pop(0)
            pipeline = pipeline_of(first)
            gathered = [first]
            if pipeline.gather(first) > 0:
                while lane and pipeline_of(lane[0]) is pipeline and pipeline.joins(first, lane[0]):
                    gathered.append(lane.pop(0))
            event = pipeline.collapse(gathered) if len(gathered) > 1 else first
            results[first.id] = _run(pipeline, event)
    return tuple(results[event.id] for event in events if event.id in results)


def _run(pipeline: Pipeline, event: Event) -> Result:
    try:
        return Result(pipeline.run(event))
    except EventExpired:
        return Result(())


def _chooser(pipelines: AnyPipelines) -> Callable[[Event], Pipeline]:
    """Returns what says which pipeline an event goes through."""
    if isinstance(pipelines, str):
        pipelines = load_pipelines(pipelines)
    elif isinstance(pipelines, Mapping):
        pipelines = Pipelines(pipelines)
    elif isinstance(pipelines, type):
        pipelines = pipelines()
    if isinstance(pipelines, Pipelines):
        by_type = pipelines.for_type
        return lambda event: by_type(event.type)
    the_only_one = pipelines
    return lambda event: the_only_one
