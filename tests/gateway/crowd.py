"""Subscribers that connect, drop and resume at random, and some that poll, while frames are
published as fast as they can be; and the comparison of what each of them saw with what the log
holds."""

import contextlib
import http.client
import random
import threading
import time
from collections import Counter

from loadtest.eventsource import EventSourceClient, EventSourceError, ReceivedEvent
from stack.process import wait_until
from tests.gateway.conftest import LogWriter, OwnGateway
from tests.gateway.polling_client import PollingClient

CHANNELS = tuple(f"thread:{n}" for n in range(5))
LAST = "thread:last"


class Publisher(threading.Thread):
    """Appends frames to random channels, batch after batch, until told to stop."""

    def __init__(self, log: LogWriter, seed: int, batch: int, pause_seconds: float) -> None:
        super().__init__(daemon=True)
        self._log = log
        self._random = random.Random(seed)
        self._batch = batch
        self._pause_seconds = pause_seconds
        self._enough = threading.Event()
        self.count = 0

    def run(self) -> None:
        """Publishes until `stop`."""
        while not self._enough.wait(self._pause_seconds):
            frames = []
            for _ in range(self._random.randint(1, self._batch)):
                how_many = self._random.choice((1, 1, 1, 2, 3))
                frames.append(tuple(self._random.sample(CHANNELS, how_many)))
            self._log.append_many(frames)
            self.count += len(frames)

    def stop(self) -> None:
        """Publishes no more, except one last frame that goes to every subscriber."""
        self._enough.set()
        self.join()
        self._log.append_many([(LAST,)])


class Wanderer(threading.Thread):
    """One subscriber that does not stay for long."""

    def __init__(
        self, own: OwnGateway, seed: int, *, stays: bool = False, patience: float = 90
    ) -> None:
        super().__init__(daemon=True)
        self._random = random.Random(seed)
        self.channels = self._random.sample(CHANNELS, self._random.choice((1, 1, 2, 3)))
        self.client = EventSourceClient(
            f"{own.gateway.url}/sub/{'/'.join([*self.channels, LAST])}", timeout_seconds=10
        )
        self._stays = stays
        self.first_cursor = ""
        self.events: list[ReceivedEvent] = []
        self.errors: list[ReceivedEvent] = []
        self.connects = 0
        self.give_up_at = time.monotonic() + patience

    def run(self) -> None:
        """Connects again and again until the last frame is there."""
        while not self.has_last_frame() and time.monotonic() < self.give_up_at:
            until = len(self.events) + self._random.randint(0, 600)
            with contextlib.suppress(OSError, EventSourceError):
                self._take(self.client.connect())
                self.connects += 1
                while self.client.connected and not self.has_last_frame():
                    if not self.first_cursor:
                        self.first_cursor = self.client.last_event_id
                    if not self._stays and self.first_cursor and len(self.events) > until:
                        break
                    self._take(self.client.read())
            self.client.close()
            if not self.first_cursor:
                # It left before it knew where it was: it is a new subscriber the next time.
                self.events.clear()
            time.sleep(self._random.random() * 0.05)

    def _take(self, events: list[ReceivedEvent]) -> None:
        for event in events:
            (self.errors if event.type == "error" else self.events).append(event)

    def has_last_frame(self) -> bool:
        """Whether the frame that ends the test has come."""
        return bool(self.events) and '"last"' in self.events[-1].data


class Poller(threading.Thread):
    """One subscriber that polls, again and again, with the cursor it was told last."""

    def __init__(self, own: OwnGateway, seed: int) -> None:
        super().__init__(daemon=True)
        chosen = random.Random(seed)
        self.channels = chosen.sample(CHANNELS, chosen.choice((1, 1, 2, 3)))
        self.first_cursor = own.log.now()
        self.client = PollingClient(own.gateway, [*self.channels, LAST], self.first_cursor)
        self.events: list[ReceivedEvent] = []
        self.polls = 0
        self.give_up_at = time.monotonic() + 90

    def run(self) -> None:
        """Polls until the last frame is there."""
        while not self.has_last_frame() and time.monotonic() < self.give_up_at:
            try:
                answer = self.client.poll()
            except (OSError, http.client.HTTPException):
                # Whatever was on its way is asked for again: the cursor has not moved.
                time.sleep(0.02)
                continue
            if answer.status == 503:
                time.sleep(0.05)
                continue
            self.polls += 1
            if answer.reset:
                self.events.append(ReceivedEvent("reset", "", answer.cursor, 0))
            self.events += answer.events
        self.client.close()

    def has_last_frame(self) -> bool:
        """Whether the frame that ends the test has come."""
        return bool(self.events) and '"last"' in self.events[-1].data


class Crowd:
    """A publisher and its subscribers.

    Args:
        seed: decides who subscribes to what and when everybody leaves.
        size: how many subscribers.
        pollers: how many more that poll.
        batch: frames are published in batches of 1 to this many.
        pause_seconds: the publisher waits this long between two batches.
        stays: subscribers leave only when their connection breaks.
        patience: subscribers give up after this many seconds.
    """

    def __init__(
        self,
        own: OwnGateway,
        seed: int,
        *,
        size: int = 24,
        batch: int = 50,
        pause_seconds: float = 0,
        stays: bool = False,
        pollers: int = 0,
        patience: float = 90,
    ) -> None:
        self.own = own
        self.publisher = Publisher(own.log, seed, batch, pause_seconds)
        self.wanderers = [
            Wanderer(own, seed + 1 + n, stays=stays, patience=patience) for n in range(size)
        ]
        pollers_of_crowd = [Poller(own, seed + 101 + n) for n in range(pollers)]
        self.everybody: list[Wanderer | Poller] = [*self.wanderers, *pollers_of_crowd]

    def start(self) -> None:
        """Returns when everybody has connected and frames are flowing."""
        for each in self.everybody:
            each.start()
        wait_until(
            lambda: all(wanderer.first_cursor for wanderer in self.wanderers),
            20,
            "every subscriber has connected",
        )
        self.publisher.start()
        self.wait_for_frames(1)

    def wait_for_frames(self, more: int) -> None:
        """Returns when that many more frames have been published."""
        target = self.publisher.count + more
        wait_until(lambda: self.publisher.count >= target, 60, f"{target} frames are published")

    def finish(self) -> None:
        """Stops the publisher and compares: complete, in order, each once, for everybody."""
        self.publisher.stop()
        for each in self.everybody:
            each.join(90)
        entries = self.own.log.entries()
        for each in self.everybody:
            wanted = {*each.channels, LAST}
            expected = [
                cursor
                for cursor, channels in entries
                if position(cursor) > position(each.first_cursor) and wanted & set(channels)
            ]
            seen = [event.id for event in each.events]
            assert not [event for event in each.events if event.type == "reset"]
            twice = [cursor for cursor, times in Counter(seen).items() if times > 1]
            assert not twice, f"{len(twice)} frames came twice, first {twice[0]}"
            missing = sorted(set(expected) - set(seen), key=position)
            assert not missing, f"{len(missing)} of {len(expected)} missing, first {missing[0]}"
            assert seen == expected


def position(cursor: str) -> tuple[int, int]:
    """A cursor's place in the log, for comparing."""
    ms, _, seq = cursor.partition(".")[2].partition("-")
    return int(ms), int(seq)
