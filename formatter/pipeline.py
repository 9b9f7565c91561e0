"""The pipeline: the stages an event goes through on its way to frames.

A pipeline is a class made of mixins, each of which overrides one stage and calls `super()` once:

    class CommentPipeline(RenderMarkdownMixin, PermalinkMixin, Pipeline):
        permalink = "/threads/{thread}/#comment-{id}"

The order of the stages is fixed: `admit`, `enrich`, `transform`, `route`, `render`. Within a stage
the mixins run in the order of the bases, from the right to the left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from pushgate import Event, Frame, frame_of, tombstone_of

STAGES = ("admit", "enrich", "transform", "route", "render")


class Pipeline:
    """Passes an event on as it is. One instance serves all events, so it keeps nothing of them.

    Attributes:
        deadline_seconds: how long all stages of one event may take together; past it the attempt
            has failed and another follows.
    """

    deadline_seconds = 30.0

    def run(
        self, event: Event, on_stage: Callable[[Event, str, float], None] | None = None
    ) -> tuple[Frame, ...]:
        """Takes an event through all stages.

        Args:
            event: what to make frames of.
            on_stage: told the seconds each stage took.

        Returns:
            Its frames; none when `admit` dropped it or `route` left no channel.

        Raises:
            TransientError: a stage may succeed later.
            Exception: a stage failed for good.
        """
        if on_stage is not None:
            return self._run_timed(event, on_stage)
        if not self.admit(event):
            return ()
        event = self.transform(self.enrich(event))
        channels = self.route(event)
        return self.render(event, channels) if channels else ()

    def _run_timed(
        self, event: Event, on_stage: Callable[[Event, str, float], None]
    ) -> tuple[Frame, ...]:
        began = perf_counter()

        def ended(stage: str) -> None:
            nonlocal began
            now = perf_counter()
            on_stage(event, stage, now - began)
            began = now

        admitted = self.admit(event)
        ended("admit")
        if not admitted:
            return ()
        event = self.enrich(event)
        ended("enrich")
        event = self.transform(event)
        ended("transform")
        channels = self.route(event)
        ended("route")
        frames = self.render(event, channels) if channels else ()
        ended("render")
        return frames

    def gather(self, event: Event) -> float:
        """Says for how many seconds the event waits for others of its key, to go with them as one.

        0, as here, sends it on its way at once and alone.
        """
        return 0.0

    def joins(self, first: Event, event: Event) -> bool:
        """Says whether an event may become one with the first that `gather` held back."""
        return True

    def collapse(self, events: Sequence[Event]) -> Event:
        """Makes one event of those that were gathered, the first of them held back by `gather`.

        All are of one key, came one after the other, and `joins` let each in. The one goes through
        the stages for all of them; the jobs of the others end as suppressed in the same step as its
        own.
        """
        raise NotImplementedError(
            f"{type(self).__name__} gathers events and does not collapse them"
        )

    def admit(self, event: Event) -> bool:
        """Says whether the event is worth a frame; an event dropped is booked as suppressed."""
        return True

    def enrich(self, event: Event) -> Event:
        """Adds what the event does not carry, from elsewhere."""
        return event

    def transform(self, event: Event) -> Event:
        """Changes what the event carries."""
        return event

    def route(self, event: Event) -> tuple[str, ...]:
        """Says which channels are told."""
        return event.channels

    def render(self, event: Event, channels: tuple[str, ...]) -> tuple[Frame, ...]:
        """Makes the frames, once, for everybody."""
        return (frame_of(event, channels),)

    def gone(self, event: Event) -> tuple[Frame, ...]:
        """Makes the frames that stand for an event given up, so that who shows its object looks
        again: `event: gone` on the event's own channels.
        """
        return (tombstone_of(event),)
