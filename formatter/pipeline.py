"""The pipeline: the stages an event goes through on its way to frames.

A pipeline is a class made of mixins, each of which overrides one stage and calls `super()` once:

    class CommentPipeline(RenderMarkdownMixin, PermalinkMixin, Pipeline):
        permalink = "/threads/{thread}/#comment-{id}"

The order of the stages is fixed: `admit`, `enrich`, `transform`, `route`, `render`. Within a stage
the mixins run in the order of the bases, from the right to the left.
"""

from __future__ import annotations

from pushgate import Event, Frame, frame_of


class Pipeline:
    """Passes an event on as it is. One instance serves all events, so it keeps nothing of them."""

    STAGES = ("admit", "enrich", "transform", "route", "render")

    def run(self, event: Event) -> tuple[Frame, ...]:
        """Takes an event through all stages.

        Returns:
            Its frames; none when `admit` dropped it or `route` left no channel.

        Raises:
            TransientError: a stage may succeed later.
            Exception: a stage failed for good.
        """
        if not self.admit(event):
            return ()
        event = self.transform(self.enrich(event))
        channels = self.route(event)
        return self.render(event, channels) if channels else ()

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
