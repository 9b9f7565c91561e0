"""Who else is told of an event."""

from __future__ import annotations

from formatter.mixins.needs import needed, texts
from formatter.mixins.pattern import Pattern
from formatter.pipeline import Pipeline
from pushgate import Event, InvalidEvent, check_channel
from pushgate.event import MAX_CHANNELS


class RouteMixin(Pipeline):
    """Tells further channels, named after the event's data.

    A channel for which the data has no value, or a null, is left out. A value that makes no
    channel's name ends the event for good, with a sentence that holds the rule.

    On a further channel the events of each key stay in order; those of different keys, of two
    threads in one forum say, come as they are done.

    Attributes:
        further_channels: names with names of the data in braces: `("forum:{forum}",)`.
    """

    further_channels: tuple[str, ...]

    def __init__(self) -> None:
        """Reads the patterns.

        Raises:
            InvalidPipelines: `further_channels` is missing, or holds what is no pattern.
        """
        super().__init__()
        needed(self, RouteMixin, "further_channels", ("forum:{forum}",))
        self._further = [
            Pattern(self, "further_channels", text) for text in texts(self, "further_channels")
        ]

    def route(self, event: Event) -> tuple[str, ...]:
        """See the class.

        Raises:
            InvalidChannel: a value makes no channel's name.
            InvalidEvent: the channels are more than a frame may name.
        """
        channels = super().route(event)
        filled = (pattern.fill(event.data) for pattern in self._further)
        further = [check_channel(name) for name in filled if name is not None]
        together = tuple(dict.fromkeys((*channels, *further)))
        if len(together) > MAX_CHANNELS:
            raise InvalidEvent(
                f"event {event.id}: {len(together)} channels with the further ones; "
                f"use at most {MAX_CHANNELS}"
            )
        return together
