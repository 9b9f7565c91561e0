"""The address where an event's object can be seen."""

from __future__ import annotations

from formatter.pipeline import Pipeline
from pushgate import Event


class PermalinkMixin(Pipeline):
    """Adds `permalink` to the event's data.

    Attributes:
        permalink: the address, with names of the data in braces: `/threads/{thread}/#c{id}`.
    """

    permalink: str

    def transform(self, event: Event) -> Event:
        """See the class.

        Raises:
            KeyError: the data lacks a name that the address needs.
        """
        event = super().transform(event)
        return event.with_data({**event.data, "permalink": self.permalink.format_map(event.data)})
