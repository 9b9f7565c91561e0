"""No more than so many events of a key in a time."""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence

from limits import RateLimitItem, parse_many

from formatter.errors import InvalidPipelines
from formatter.mixins.needs import check_number, needed, texts
from formatter.pipeline import Pipeline
from formatter.seldom import SeldomWarning
from pushgate import Event

LONGEST_WINDOW = 10_000
"""Events that one key may be allowed: each is remembered until its time has passed."""

ADMITTED_REMEMBERED = 10_000
"""Events that may be tried again without being counted again: more than a worker has in hand."""

KEY_BYTES = 320
TIME_BYTES = 10
"""What is kept of a key, and of each event of it: measured, keys of up to 60 letters."""


class RateLimitMixin(Pipeline):
    """Drops the events of a key above a rate, as the site wishes: nobody is told of them.

        class TypingPipeline(RateLimitMixin, Pipeline):
            rate_limit = "10/second"

    In any second at most ten pass, exactly (a moving window). Those above are booked as suppressed
    and said in the log once in a while. It is for what the next event makes up for: who is typing,
    a counter. What a page must not miss is for `CollapseBurstsMixin`, or is left out of
    `rate_limit_types`.

    The count is the process's own. All events of a key come to the one process that holds its
    partition, so it is exact, but for a partition that moves: its new holder begins to count. When
    `rate_limit_by` says something else than the key, each process counts what it sees of it.

    Attributes:
        rate_limit: a number and a time, as the library limits reads them: `100/minute`,
            `10 per 30 seconds`. At most 10,000 events.
        rate_limit_types: the types it is for; all when not given.
        rate_limit_bytes: for what is remembered of all keys within their time; beyond it the key
            that was quiet longest begins anew. The usual is enough for 150,000 keys at 10 events.
    """

    rate_limit: str
    rate_limit_types: Sequence[str] | None = None
    rate_limit_bytes = 64 * 1024 * 1024

    _clock = staticmethod(time.monotonic)

    def __init__(self) -> None:
        """Reads the rate.

        Raises:
            InvalidPipelines: an attribute is missing or wrong.
        """
        super().__init__()
        host = type(self).__name__
        text = needed(self, RateLimitMixin, "rate_limit", "10/second")
        limit = _parsed(f"{host}.rate_limit = {text!r}", text)
        types = self.rate_limit_types
        self._limited_types = None if types is None else {*texts(self, "rate_limit_types")}
        least = KEY_BYTES + TIME_BYTES * limit.amount
        check_number(self, "rate_limit_bytes", least=least, most=1e12, whole=True)
        self._passed = RecentEvents(limit.amount, limit.get_expiry(), self.rate_limit_bytes)
        self._passed_ids: OrderedDict[str, None] = OrderedDict()
        self._dropped = SeldomWarning(f"{host}: events above {text} dropped")

    def rate_limit_by(self, event: Event) -> str:
        """Says what is limited: the events of one ordering key. To be overridden."""
        return event.key

    def admit(self, event: Event) -> bool:
        """See the class. An event that is tried again is not counted again."""
        if not super().admit(event):
            return False
        if self._limited_types is not None and event.type not in self._limited_types:
            return True
        if event.id in self._passed_ids:
            return True
        if not self._passed.take(self.rate_limit_by(event), self._clock()):
            self._dropped.note(f"event {event.id} of key {event.key}")
            return False
        self._passed_ids[event.id] = None
        if len(self._passed_ids) > ADMITTED_REMEMBERED:
            self._passed_ids.popitem(last=False)
        return True


class RecentEvents:
    """When the events of each key passed, for a moving window.

    limits has a storage in memory, but that one never forgets a key, and at every event it starts a
    thread that looks at all of them.

    Args:
        amount: so many may pass.
        seconds: in such a time.
        most_bytes: for all keys together.
    """

    def __init__(self, amount: int, seconds: float, most_bytes: int) -> None:
        self._amount = amount
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._times: OrderedDict[str, array[float]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._times)

    def take(self, key: str, now: float) -> bool:
        """Whether one more event of a key may pass now; if so, it has."""
        since = now - self._seconds
        times = self._times.get(key)
        if times is None:
            times = self._times[key] = array("d")
            self._bytes += KEY_BYTES
        elif times[0] <= since:
            passed = bisect_right(times, since)
            del times[:passed]
            self._bytes -= passed * TIME_BYTES
        if len(times) >= self._amount:
            return False
        times.append(now)
        self._bytes += TIME_BYTES
        self._times.move_to_end(key)
        self._forget(since)
        return True

    def _forget(self, since: float) -> None:
        """Drops the keys that have been quiet, and beyond the bound the ones quiet longest."""
        while True:
            key, times = next(iter(self._times.items()))
            if times[-1] > since and self._bytes <= self._most_bytes:
                return
            del self._times[key]
            self._bytes -= KEY_BYTES + len(times) * TIME_BYTES


def _parsed(where: str, text: object) -> RateLimitItem:
    try:
        limits = parse_many(text) if isinstance(text, str) else []
    except ValueError:
        limits = []
    if len(limits) != 1 or not 1 <= limits[0].amount <= LONGEST_WINDOW:
        raise InvalidPipelines(
            f"{where}: use 1 to {LONGEST_WINDOW} events in a time, 10/second say"
        )
    return limits[0]
