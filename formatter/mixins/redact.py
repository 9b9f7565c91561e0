"""Who sees what: one event, a frame for everybody and fuller ones for some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from formatter.errors import InvalidPipelines
from formatter.mixins.needs import checked_texts, texts
from formatter.pipeline import Pipeline
from pushgate import Event, Frame, tombstone_of
from pushgate.event import RESERVED_DATA_NAMES


class RedactMixin(Pipeline):
    """Makes a frame for each audience, which holds and names what that audience may see.

        class CommentPipeline(RedactMixin, RenderMarkdownMixin, Pipeline):
            audiences = {"moderators:": ("email", "ip")}

    An audience is the channels that begin alike. A frame names the channels of its audience alone,
    so the public does not learn who else is told. The fuller frame goes first: `live.js` drops
    the second frame of an event (by event id), so a page that follows both channels keeps the
    fuller one; a client of one's own must do likewise.

    What is made out of a private field, a permalink with it say, is private only if it is listed
    as well. What is rendered, is rendered for each audience out of what it sees: put this mixin
    left of all that render.

    Attributes:
        audiences: the beginning of channel names, and the fields seen on those channels only. A
            field is a name in the data; `author.email` is one inside another, also in a list of
            such. Who is of two audiences by one channel sees the fields of both.
        public_fields: the only fields that the public sees, where what is not named shall not be
            seen; all that no audience has to itself when not given.
    """

    audiences: Mapping[str, Sequence[str]] = {}
    public_fields: Sequence[str] | None = None

    def __init__(self) -> None:
        """Reads who sees what.

        Raises:
            InvalidPipelines: nothing is said of it, it cannot be kept, or a mixin to the left
                renders frames with all fields.
        """
        super().__init__()
        host = type(self)
        if not isinstance(self.audiences, Mapping) or not (
            self.audiences or self.public_fields is not None
        ):
            raise InvalidPipelines(
                f"{host.__name__}: RedactMixin needs audiences = {{'moderators:': ('email',)}}, say"
            )
        self._seen_by = {
            prefix: frozenset(checked_texts(self, f"audiences[{prefix!r}]", fields))
            for prefix, fields in self.audiences.items()
        }
        self._prefixes = tuple(self._seen_by)
        self._private = frozenset().union(*self._seen_by.values())
        self._public = None if self.public_fields is None else {*texts(self, "public_fields")}
        if not all(isinstance(prefix, str) and prefix for prefix in self._seen_by):
            raise InvalidPipelines(
                f"{host.__name__}.audiences: '' is the beginning of all channels"
            )
        if taken := RESERVED_DATA_NAMES & self._private:
            raise InvalidPipelines(
                f"{host.__name__}.audiences: every frame has {', '.join(sorted(taken))}; "
                "it cannot be private"
            )
        for left in host.__mro__[: host.__mro__.index(RedactMixin)]:
            if "render" in vars(left) and not issubclass(left, RedactMixin):
                raise InvalidPipelines(
                    f"{host.__name__}: put RedactMixin left of {left.__name__}, which would "
                    "render the private fields otherwise"
                )

    def render(self, event: Event, channels: tuple[str, ...]) -> tuple[Frame, ...]:
        """See the class."""
        frames: tuple[Frame, ...] = ()
        for seen, names in self._audiences_of(channels):
            frames += super().render(self._redacted(event, seen), names)
        return frames

    def gone(self, event: Event) -> tuple[Frame, ...]:
        """See `Pipeline.gone`: to each audience in a frame that names its own channels."""
        return tuple(tombstone_of(event, names) for _, names in self._audiences_of(event.channels))

    def _audiences_of(
        self, channels: tuple[str, ...]
    ) -> list[tuple[frozenset[str], tuple[str, ...]]]:
        """The private fields that are seen and the channels they are seen on, the most first."""
        if not any(channel.startswith(self._prefixes) for channel in channels):
            return [(frozenset(), channels)]
        # Channels are told apart by audience, not by what it sees: even of two that see the same,
        # neither learns the names of the other's channels.
        audiences: dict[tuple[str, ...], list[str]] = {}
        for channel in channels:
            audience = tuple(prefix for prefix in self._prefixes if channel.startswith(prefix))
            audiences.setdefault(audience, []).append(channel)
        shown = [
            (frozenset().union(*(self._seen_by[prefix] for prefix in audience)), tuple(names))
            for audience, names in audiences.items()
        ]
        shown.sort(key=lambda entry: -len(entry[0]))
        return shown

    def _redacted(self, event: Event, seen: frozenset[str]) -> Event:
        """The event for who sees these of the private fields."""
        hidden, public = self._private - seen, self._public
        data: Mapping[str, Any] = {
            name: value
            for name, value in event.data.items()
            if name not in hidden and (public is None or name in public or name in seen)
        }
        inner = [field for field in hidden if "." in field]
        if len(data) == len(event.data) and not inner:
            return event
        for field in inner:
            data = _without(data, field.split("."))
        return event.with_data(data)


def _without(value: Any, path: Sequence[str]) -> Any:
    """A copy of the value with nothing at the path, which leads through lists as well."""
    if isinstance(value, list):
        return [_without(item, path) for item in value]
    if not isinstance(value, Mapping) or path[0] not in value:
        return value
    if len(path) == 1:
        return {name: inner for name, inner in value.items() if name != path[0]}
    return {**value, path[0]: _without(value[path[0]], path[1:])}
