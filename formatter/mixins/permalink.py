"""The address where an event's object can be seen."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from formatter.mixins.needs import needed
from formatter.mixins.pattern import Pattern
from formatter.pipeline import Pipeline
from pushgate import Event


class PermalinkMixin(Pipeline):
    """Adds an address made of the event's data to it.

    Values are quoted, so that none can lead elsewhere. An event whose data lacks a name that the
    address needs passes without one.

    Attributes:
        permalink: the address, with names of the data in braces: `/threads/{thread}/#c{id}`.
        permalink_target: the name that gets the address.
    """

    permalink: str
    permalink_target = "permalink"

    def __init__(self) -> None:
        """Reads the pattern.

        Raises:
            InvalidPipelines: `permalink` is missing, or is no pattern.
        """
        super().__init__()
        text = needed(self, PermalinkMixin, "permalink", "/threads/{thread}/#comment-{id}")
        self._permalink = Pattern(self, "permalink", text, quote=partial(quote, safe=""))

    def transform(self, event: Event) -> Event:
        """See the class."""
        event = super().transform(event)
        address = self._permalink.fill(event.data)
        if address is None:
            return event
        return event.with_data({**event.data, self.permalink_target: address})
