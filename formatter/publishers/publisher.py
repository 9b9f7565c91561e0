"""What every publisher is: it says what it wants of the log, and sends it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from formatter.errors import FormatterError, InvalidPublishers
from formatter.publishers.item import Item
from pushgate import InvalidChannel
from pushgate.revocation import check_grant, covers

EVERYTHING = "*"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)


class SendFailed(FormatterError):
    """The root of what `Publisher.send` raises; any other exception counts as `Unavailable`."""


class Refused(SendFailed):
    """The consumer does not take these items and never will."""


class Unavailable(SendFailed):
    """The consumer takes nothing now; the items are sent again.

    Attributes:
        retry_after_seconds: how long it wants to be left alone; 0 when it did not say.
        about_items: it may be the fault of one of the items.
    """

    def __init__(
        self, reason: str, retry_after_seconds: float = 0.0, about_items: bool = False
    ) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds
        self.about_items = about_items


class Gone(SendFailed):
    """The consumer wants nothing any more: the publisher stops until an operator resumes it."""


class Publisher:
    """Follows the log and sends on what it wants. Override `send`.

    Args:
        name: tells publishers apart, and keeps one's place in the log: 1-63 of a-z 0-9 _ -.
        channels: names, or `prefix:*`, or `"*"` for all there are.
        types: of events; `comment.` for all that begin so; all when not given.
        batch: how many items one sending may hold at the most.
        concurrency: how many sendings may be under way at once.
        in_order: whether an item waits for the earlier ones of its channels.
        give_up_seconds: how long one item is tried while others get through.

    Raises:
        InvalidPublishers: an argument is wrong.
    """

    tells_resets = True
    """Whether the consumer is told of a gap, by an item of the type `reset`."""

    def __init__(
        self,
        name: str,
        *,
        channels: Sequence[str],
        types: Sequence[str] = (),
        batch: int = 1,
        concurrency: int = 8,
        in_order: bool = True,
        give_up_seconds: float = 900.0,
    ) -> None:
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise InvalidPublishers(
                f"publisher {name!r}: a name is 1-63 of a-z 0-9 _ - and begins with a letter or "
                "digit"
            )
        self.name = name
        self.channels = self._texts("channels", channels)
        self.types = self._texts("types", types)
        if not self.channels:
            raise self.invalid('channels is empty: name some, or say "*" for all')
        for granted in self.channels:
            try:
                if granted != EVERYTHING:
                    check_grant(granted)
            except InvalidChannel as error:
                raise self.invalid(str(error)) from None
        self._check_range("batch", batch, 1, 1000)
        self._check_range("concurrency", concurrency, 1, 64)
        self._check_range("give_up_seconds", give_up_seconds, 0, 7 * 86_400)
        self.batch = batch
        self.concurrency = concurrency
        self.give_up_seconds = give_up_seconds
        self.in_order = in_order

    def configure(self, environment: Mapping[str, str]) -> None:
        """Reads what the environment has to say; called once, before anything is sent.

        Raises:
            InvalidPublishers: a variable is missing or wrong.
        """

    def send(self, items: Sequence[Item]) -> None:
        """Sends 1 to `batch` items, first to last; returns once the consumer has taken them.

        It may be called with the same items again, and is called by several greenlets at once.

        Raises:
            SendFailed: what is to be done about it says the class.
        """
        raise NotImplementedError(f"{type(self).__name__} does not send")

    def close(self) -> None:
        """Gives back what `send` holds; called when nothing is sent any more."""

    def describe(self) -> str:
        """What it is and where it sends to, in one line without secrets."""
        return f"{self.name}: {type(self).__name__} of {', '.join(self.channels)}"

    def wanted(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Those among the channels that are for this publisher."""
        if EVERYTHING in self.channels:
            return tuple(channels)
        return tuple(
            channel
            for channel in channels
            if any(covers(granted, channel) for granted in self.channels)
        )

    def wants_type(self, event_type: str) -> bool:
        """Whether a frame of this type is for this publisher."""
        return not self.types or any(
            event_type.startswith(wanted) if wanted.endswith(".") else event_type == wanted
            for wanted in self.types
        )

    def invalid(self, what: str) -> InvalidPublishers:
        """The error that says what is wrong with this publisher."""
        return InvalidPublishers(f"publisher {self.name!r}: {what}")

    def _texts(self, what: str, given: Sequence[str]) -> tuple[str, ...]:
        if isinstance(given, str) or not all(isinstance(text, str) and text for text in given):
            raise self.invalid(f"{what} {given!r}: give a list of texts")
        return tuple(given)

    def _check_range(self, what: str, value: float, least: int, most: int) -> None:
        if not least <= value <= most:
            raise self.invalid(f"{what} {value}: use {least} to {most}")
