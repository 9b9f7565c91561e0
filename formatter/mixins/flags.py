"""Feature flags: an event is told of only where its feature is on."""

from __future__ import annotations

from formatter.mixins.needs import needed
from formatter.pipeline import Pipeline
from pushgate import Event


class FlagMixin(Pipeline):
    """Drops an event whose feature flag is off.

    Flags are evaluated once, by the hook that made the event, and travel with it: all that happens
    to one event happens under the same flags.

    Attributes:
        required_flag: the flag's name.
        flag_default: what a flag that the event does not carry is taken for.
    """

    required_flag: str
    flag_default = False

    def __init__(self) -> None:
        """Reads the name.

        Raises:
            InvalidPipelines: `required_flag` is missing.
        """
        super().__init__()
        self._flag: str = needed(self, FlagMixin, "required_flag", "live_comments")

    def admit(self, event: Event) -> bool:
        """See the class."""
        return event.flags.get(self._flag, self.flag_default) and super().admit(event)
