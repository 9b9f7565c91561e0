"""Bursts on a hot channel become one frame that keeps the count: "37 new replies"."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from formatter.errors import EventExpired, InvalidPipelines
from formatter.mixins.needs import check_number, needed, texts
from formatter.pipeline import Pipeline
from pushgate import Event, InvalidEvent
from pushgate.event import RESERVED_DATA_NAMES

LONGEST_BURST_SECONDS = 5.0
"""A worker that is told to stop waits so long for what it holds back, and then some."""

AT_ONCE_SECONDS = 0.0001
"""Held back no longer than it takes to look who else is there."""

OWN_NAMES = ("count", "types", "objects", "unlisted", "since")

_Hot = tuple[str, tuple[str, ...]]


class CollapseBurstsMixin(Pipeline):
    """Lets the first events of a key through and makes one of those that follow too quickly.

        class CommentPipeline(CollapseBurstsMixin, PermalinkMixin, Pipeline):
            burst_types = ("comment.created",)
            burst_type = "comment.burst"
            burst_keeps = ("thread",)

    `burst_events` of one key and one set of channels pass within `burst_seconds`. The next one is
    held back for the rest of that time and goes with those that have come until then. While the
    burst lasts there is one frame in `burst_seconds`; when a burst has become fewer than
    `burst_events` in that time, they pass one by one again. Nothing is held back once it is
    `burst_seconds` old, by its `at`: a queue that has grown is not held up further, it collapses.

    The frame is of type `burst_type`, of no object and no version. It says "look again":

        "event_id", "at", "channels"     those of the last event; "object": "", "version": 0
        "thread": 42                     what `burst_keeps` names, if it is the same for all
        "count": 37                      how many events it stands for
        "types": {"comment.created": 37} how many of each type
        "objects": {"threads.comment:17": "comment.created", ...}
                                         the objects, and what happened to each last
        "unlisted": 0                    events of objects beyond `burst_objects`, or of none
        "since"                          when the first happened

    A page shows "37 new replies" and reads its data anew when somebody wants to see them, or at
    once, but then after a random pause: all of a hot channel's pages get the frame together.
    Of the types in `burst_types` nothing but this is told, so name deletions only where the page
    does look at `objects`, or reads anew whenever `types` holds another than "created".

    Every event held back is asked of `admit` by itself, and only those admitted are counted. The
    one that stands for them goes past `enrich` and `transform`, for it has no text to render, and
    through `route` and `render`. `pipelines` must lead its type here, as `"comment."` does. What is
    not of `burst_types` is never held back for itself.

    Attributes:
        burst_types: the types that collapse.
        burst_type: the type of the event that stands for them.
        burst_events: so many pass at once.
        burst_seconds: in such a time; at most 5.
        burst_keeps: names of the data that the one keeps: what its page or `further_channels` need.
        burst_objects: how many objects are listed.
        burst_keys: how many keys are remembered; one forgotten starts anew.
    """

    burst_types: Sequence[str]
    burst_type: str
    burst_events = 5
    burst_seconds = 1.0
    burst_keeps: Sequence[str] = ()
    burst_objects = 100
    burst_keys = 10_000

    _clock = staticmethod(time.monotonic)
    _wall_clock = staticmethod(time.time)

    def __init__(self) -> None:
        """Reads the attributes.

        Raises:
            InvalidPipelines: one is missing or wrong, or a mixin to the left would see the event
                that stands for others.
        """
        super().__init__()
        host = type(self).__name__
        needed(self, CollapseBurstsMixin, "burst_types", ("comment.created",))
        self._burst_types = frozenset(texts(self, "burst_types"))
        burst_type = needed(self, CollapseBurstsMixin, "burst_type", "comment.burst")
        try:
            Event(burst_type, ("channel",), {})
        except InvalidEvent as error:
            raise InvalidPipelines(f"{host}.burst_type: {error}") from None
        if burst_type in self._burst_types:
            raise InvalidPipelines(f"{host}.burst_type = {burst_type!r}: use a type of its own")
        for name, most in (("events", 1_000), ("objects", 1_000), ("keys", 1_000_000)):
            check_number(self, f"burst_{name}", least=1, most=most, whole=True)
        check_number(self, "burst_seconds", most=LONGEST_BURST_SECONDS)
        self._burst_keeps = texts(self, "burst_keeps")
        if taken := {*self._burst_keeps} & {*OWN_NAMES, *RESERVED_DATA_NAMES}:
            raise InvalidPipelines(
                f"{host}.burst_keeps: {', '.join(sorted(taken))} is the burst's own; leave it out"
            )
        mro = type(self).__mro__
        for left in mro[: mro.index(CollapseBurstsMixin)]:
            if not issubclass(left, CollapseBurstsMixin):
                raise InvalidPipelines(
                    f"{host}: put CollapseBurstsMixin left of {left.__name__}, which would work on "
                    "the event that stands for others"
                )
        # When the window of a key ends, and how many passed in it.
        self._windows: OrderedDict[_Hot, tuple[float, int]] = OrderedDict()

    def gather(self, event: Event) -> float:
        """See the class."""
        seconds = super().gather(event)
        if event.type not in self._burst_types:
            return seconds
        now = self._clock()
        ends_at, passed = self._windows.get((event.key, event.channels), (0.0, 0))
        if now >= ends_at:
            ends_at, passed = now + self.burst_seconds, 0
        if passed < self.burst_events:
            self._remember(event, ends_at, passed + 1)
            return seconds
        age = self._wall_clock() - datetime.fromisoformat(event.at).timestamp()
        held = min(ends_at - now, self.burst_seconds - max(age, 0.0))
        return max(seconds, held, AT_ONCE_SECONDS)

    def joins(self, first: Event, event: Event) -> bool:
        """See the class."""
        return event.type in self._burst_types and event.channels == first.channels

    def collapse(self, events: Sequence[Event]) -> Event:
        """See the class. Of events of other types, or channels, nothing is lost either."""
        # They are as good as shown: while as many come, they are gathered from the first on.
        self._remember(events[0], self._clock() + self.burst_seconds, len(events))
        admitted = [event for event in events if self._admits(event)]
        if len(admitted) < 2:
            # The one goes as it is; of none, the last is asked again and ends for all.
            return admitted[0] if admitted else events[-1]
        last = admitted[-1]
        return Event(
            self.burst_type,
            tuple(dict.fromkeys(name for event in admitted for name in event.channels)),
            self._data_of(admitted),
            key=last.key,
            id=last.id,
            at=last.at,
            correlation_id=last.correlation_id,
            traceparent=last.traceparent,
            flags=last.flags,
        )

    def admit(self, event: Event) -> bool:
        """Admits what stands for events that were admitted."""
        return event.type == self.burst_type or super().admit(event)

    def enrich(self, event: Event) -> Event:
        """Lets past what stands for others."""
        return event if event.type == self.burst_type else super().enrich(event)

    def transform(self, event: Event) -> Event:
        """Lets past what stands for others."""
        return event if event.type == self.burst_type else super().transform(event)

    def _admits(self, event: Event) -> bool:
        try:
            return self.admit(event)
        except EventExpired:
            return False

    def _remember(self, event: Event, ends_at: float, passed: int) -> None:
        hot = (event.key, event.channels)
        self._windows[hot] = (ends_at, passed)
        self._windows.move_to_end(hot)
        while len(self._windows) > self.burst_keys:
            self._windows.popitem(last=False)

    def _data_of(self, events: Sequence[Event]) -> dict[str, Any]:
        first = events[0]
        kept = {
            name: first.data[name]
            for name in self._burst_keeps
            if all(name in event.data and event.data[name] == first.data[name] for event in events)
        }
        objects: dict[str, str] = {}
        unlisted = 0
        for event in events:
            if event.object and (event.object in objects or len(objects) < self.burst_objects):
                objects[event.object] = event.type
            else:
                unlisted += 1
        return {
            **kept,
            "count": len(events),
            "types": dict(Counter(event.type for event in events)),
            "objects": objects,
            "unlisted": unlisted,
            "since": first.at,
        }
