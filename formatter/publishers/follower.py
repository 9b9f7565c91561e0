"""One publisher at work, under its lease: reads the log, sends, books how far it is.

One greenlet turns: read, send, book, wait. Sendings run in greenlets of their own, at most
`concurrency` of them. What is booked was taken by the consumer, given up, or not wanted; what was
sent and not booked when this process died is sent again by the next holder.
"""

from __future__ import annotations

import logging
import time
from collections import Counter

import gevent
import redis
from gevent.event import Event as Flag

from formatter.observers import Audience
from formatter.publishers.gate import Gate, backoff_seconds
from formatter.publishers.publisher import Gone, Publisher, Refused, SendFailed, Unavailable
from formatter.publishers.reader import LogReader
from formatter.publishers.window import Slot, Window
from pushgate import Lease, LeaseLost
from pushgate.leases import LEASE_SECONDS
from pushgate.positions import Advance, Positions

logger = logging.getLogger("formatter")

WAIT_SECONDS = 0.5
"""How long one look for news may block: who stops a publisher waits so long at the most."""

BUSY_WAIT_SECONDS = 0.2
"""As `WAIT_SECONDS`, while sendings are under way."""

HOLD_SECONDS = 3 * 86_400.0
"""How long an item is tried while nothing at all gets through: days, as the Standard Webhooks
specification recommends. Meanwhile the log keeps what follows, as long as it keeps anything."""

REFUSALS_IN_A_ROW = 10
"""So many refusals and nothing taken between them are not the fault of the items any more."""


class Follower:
    """Takes one publisher along the log.

    Args:
        publisher: what to send, and how.
        lease: of the name `pushgate.positions.lease_name` says.
        positions: where to read and to book.
        audience: told what happens.

    Attributes:
        lost: set once the lease is another's; nothing is sent or booked any more.
        lease_until: by `time.monotonic`; nothing is sent after it; who renews the lease moves it.
    """

    def __init__(
        self,
        publisher: Publisher,
        lease: Lease,
        positions: Positions,
        audience: Audience,
    ) -> None:
        self.publisher = publisher
        self.lease = lease
        self.lost = False
        self.lease_until = time.monotonic() + LEASE_SECONDS
        self._positions = positions
        self._audience = audience
        self._leaving = False
        self._changed = Flag()
        self._sending = 0
        self._gate = Gate()
        self._refusals = 0
        self._failures = 0
        self._is_failing = False
        self._gone = ""
        self._stopped = ""
        self._begun = False
        self._unbooked: Advance | None = None

    def leave(self) -> None:
        """Begins no sending; `run` returns when those under way have ended and are booked."""
        self._leaving = True
        self._changed.set()

    def lose(self) -> None:
        """The lease is another's: sends and books nothing any more."""
        self.lost = True
        self._changed.set()

    def run(self) -> None:
        """Works until told to leave or the lease is lost.

        Raises:
            TurnMoved: Redis was set back; begin with a new follower.
        """
        failures = 0
        while not self.lost:
            try:
                if self.turn():
                    return
                failures = 0
            except LeaseLost as error:
                logger.warning("publisher %s: %s", self.publisher.name, error)
                self.lose()
            except redis.RedisError as error:
                failures += 1
                if failures == 1:
                    logger.warning("publisher %s: Redis: %s", self.publisher.name, error)
                gevent.sleep(backoff_seconds(failures))

    def turn(self) -> bool:
        """Reads, sends, books and waits once; True when it was told to leave and has done so."""
        self._changed.clear()
        if not self._begun:
            self._begin()
        if not self._leaving:
            self._read()
        self._send()
        is_idle = self._sending == 0
        self._book()
        if self._leaving and is_idle:
            return True
        self._wait()
        return False

    def _begin(self) -> None:
        """Stands where the books say."""
        position = self._positions.begin(self.lease, self.publisher.name)
        self._turn = position.turn
        self._booked = position.cursor
        self._booked_place = position.place
        self._window = Window(self.publisher.in_order)
        self._reader = LogReader(self.publisher, position, self._window)
        self._begun = True

    def _read(self) -> None:
        reader, name = self._reader, self.publisher.name
        reading = self._positions.read(name, *reader.wants())
        if reading.stopped != self._stopped:
            logger.warning("publisher %s: %s", name, reading.stopped or "goes on")
            self._stopped = reading.stopped
        if not self._stopped:
            reader.add(reading)
        oldest_ms = self._window.oldest_ms
        lag = 0.0 if oldest_ms is None else max(0.0, (reading.now_ms - oldest_ms) / 1000)
        self._audience.lag(self.publisher.name, lag)

    def _send(self) -> None:
        now = time.monotonic()
        if self._leaving or self.lost or self._stopped or self._gone:
            return
        if now >= self.lease_until or now < self._gate.opens_at():
            return
        limit = 1 if self._gate.is_closed else self.publisher.concurrency
        while self._sending < limit:
            slots = self._window.take(self.publisher.batch, now)
            if not slots:
                return
            self._sending += 1
            greenlet = gevent.spawn(self._deliver, self._window, slots)
            greenlet.name = f"sending of publisher {self.publisher.name}"

    def _deliver(self, window: Window, slots: list[Slot]) -> None:
        """One sending. The window is that of its time: another may have taken its place since."""
        items = [slot.item for slot in slots if slot.item is not None]
        began = time.monotonic()
        try:
            self.publisher.send(items)
        except Exception as error:
            self._fail(window, slots, error, time.monotonic())
        else:
            now = time.monotonic()
            self._gate.succeeded(now)
            self._refusals = 0
            for slot in slots:
                window.finish(slot, "" if slot.is_gap else "sent")
            self._audience.sent(self.publisher.name, len(items), now - began)
        finally:
            self._sending -= 1
            self._changed.set()

    def _fail(self, window: Window, slots: list[Slot], error: Exception, now: float) -> None:
        name = self.publisher.name
        if not isinstance(error, SendFailed):
            logger.error("publisher %s: %r", name, error, exc_info=error)
        reason = str(error) if isinstance(error, SendFailed) else f"{type(error).__name__}: {error}"
        if not self._gate.is_closed:
            logger.warning("publisher %s: %d items: %s", name, len(slots), reason)
        self._failures += 1
        self._is_failing = True
        self._audience.failed(self.publisher.name, error)
        for slot in slots:
            slot.reason = reason[:2000]
            if slot.failing_since is None:
                slot.failing_since = now
        if isinstance(error, Gone):
            self._gone = reason
            for slot in slots:
                window.put_back(slot, now)
            return
        about_items = not isinstance(error, Unavailable) or error.about_items
        if len(slots) > 1 and about_items:
            for slot in slots:
                slot.alone = True
        if isinstance(error, Refused):
            if len(slots) > 1:
                for slot in slots:
                    window.put_back(slot, now)
                return
            self._refusals += 1
            if slots[0].is_gap or self._refusals <= REFUSALS_IN_A_ROW:
                self._give_up(window, slots[0])
                return
        self._gate.failed(now, getattr(error, "retry_after_seconds", 0.0))
        not_before = now + backoff_seconds(max(slot.attempts for slot in slots))
        for slot in slots:
            if self._is_hopeless(slot, now):
                self._give_up(window, slot)
            else:
                window.put_back(slot, not_before)

    def _is_hopeless(self, slot: Slot, now: float) -> bool:
        since = now if slot.failing_since is None else slot.failing_since
        success = self._gate.last_success
        others_pass = success is not None and success > since
        return now - since >= (self.publisher.give_up_seconds if others_pass else HOLD_SECONDS)

    def _give_up(self, window: Window, slot: Slot) -> None:
        logger.error(
            "publisher %s, item %s: given up after %d attempts: %s",
            *(self.publisher.name, slot.item.id if slot.item else "", slot.attempts, slot.reason),
        )
        window.finish(slot, "" if slot.is_gap else "dead")

    def _book(self) -> None:
        """Books what is done; says it again, word for word, until an answer came."""
        if self._unbooked is None:
            self._unbooked = self._next_turn()
        turn = self._unbooked
        if turn is None:
            return
        self._positions.advance(self.lease, self.publisher.name, turn)
        self._turn = turn.turn
        self._booked, self._booked_place = turn.cursor, turn.place
        self._unbooked = None
        if turn.stopped:
            self._stopped, self._gone = turn.stopped, ""
        if turn.letters:
            self._audience.dead(self.publisher.name, len(turn.letters))

    def _next_turn(self) -> Advance | None:
        settled = self._window.settle()
        counts: Counter[str] = settled.counts
        counts["failed"] += self._failures
        gone = self._gone if self._sending == 0 else ""
        if settled.cursor is None and not any(counts.values()) and not gone:
            return None
        self._failures = 0
        error = self._window.failing() if self._is_failing else ""
        self._is_failing = bool(error)
        moved = settled.cursor is not None
        return Advance(
            turn=self._turn + 1,
            cursor=settled.cursor or self._booked,
            place=settled.place if moved else self._booked_place,
            counts=counts,
            letters=settled.letters,
            again=settled.again,
            error=error,
            stopped=gone,
            told=settled.told,
        )

    def _wait(self) -> None:
        if self._stopped or self._gone:
            if self._sending == 0 and self._unbooked is None:
                # What was read is read again from the books when it goes on.
                self._begun = False
            self._changed.wait(WAIT_SECONDS)
        elif self._reader.has_more and self._window.has_room:
            gevent.sleep(0)
        elif len(self._window) == 0 and self._sending == 0:
            self._positions.wait(self._reader.entry_id, WAIT_SECONDS)
        else:
            now = time.monotonic()
            due = [self._gate.opens_at()]
            if self._is_failing:
                due.append(self._window.next_at(now))
            soon = min((at - now for at in due if at > now), default=BUSY_WAIT_SECONDS)
            self._changed.wait(min(soon, BUSY_WAIT_SECONDS))
