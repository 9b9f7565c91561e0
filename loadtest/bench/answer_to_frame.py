"""How long a frame takes on an idle system, from the API's answer to the one subscriber.

The subscriber reads in a thread of its own, so that a frame that overtakes the answer is seen when
it comes.
"""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue

from loadtest.bench.table import Table
from loadtest.errors import LoadTestError
from loadtest.eventsource import EventSourceClient, EventSourceError, ReceivedEvent
from loadtest.percentiles import Percentiles
from loadtest.record import number_in, text_with
from loadtest.site import CallRefused, CallUnanswered, Site
from loadtest.target import Target

COMMENTS = 200
# Every process has done all it does at its first event.
WARM_UP_COMMENTS = 20
FRAME_SECONDS = 10.0
# Between two comments, drawn, so that no period of the system's own is met again and again.
PAUSE_SECONDS = (0.02, 0.06)


@dataclass(frozen=True, slots=True)
class Sample:
    """One comment, in Unix times."""

    sent: float
    committed: float
    answered: float
    received: float


def answer_to_frame(target: Target) -> Table:
    """Post comments one at a time and return how long their frames took."""
    samples = measure(target, COMMENTS)
    after = [1000 * (sample.received - sample.answered) for sample in samples]
    rows = [
        _row("API's answer to frame", [max(0.0, milliseconds) for milliseconds in after]),
        _row("commit to frame", [1000 * (s.received - s.committed) for s in samples]),
        _row("request to frame", [1000 * (s.received - s.sent) for s in samples]),
        _row("request to API's answer", [1000 * (s.answered - s.sent) for s in samples]),
    ]
    first = sum(milliseconds <= 0 for milliseconds in after)
    return Table(
        f"From save to subscriber on an idle system, milliseconds, {len(samples)} comments",
        ("", "median", "p95", "max"),
        rows,
        [f"{first} frames were there before the API's answer; they count as 0 in the first row."],
    )


def measure(target: Target, comments: int) -> list[Sample]:
    """Post so many comments one at a time, after a few to warm up.

    Raises:
        LoadTestError: a comment was refused, or its frame did not come.
    """
    site = Site(target.site_url)
    try:
        thread = site.add_thread("Bench: answer to frame")
        with Subscriber(f"{target.gateway_url}/sub/thread:{thread}") as subscriber:
            samples = []
            for number in range(1, WARM_UP_COMMENTS + comments + 1):
                time.sleep(random.uniform(*PAUSE_SECONDS))
                sent = time.time()
                site.add_comment(thread, "Bench", text_with(number, "A comment of some length."))
                answered = time.time()
                frame = subscriber.wait_for(number)
                committed = datetime.fromisoformat(json.loads(frame.data)["at"]).timestamp()
                samples.append(Sample(sent, committed, answered, frame.received_at))
    except (CallRefused, CallUnanswered, OSError, EventSourceError) as error:
        raise LoadTestError(f"answer to frame: {error}") from None
    return samples[WARM_UP_COMMENTS:]


class Subscriber:
    """A stream that is read in a thread."""

    def __init__(self, url: str) -> None:
        self._client = EventSourceClient(url)
        self._frames: SimpleQueue[ReceivedEvent] = SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="subscriber", daemon=True)

    def wait_for(self, number: int) -> ReceivedEvent:
        """Return the frame of a write.

        Raises:
            LoadTestError: it did not come in time.
        """
        give_up_at = time.monotonic() + FRAME_SECONDS
        with suppress(Empty):
            while True:
                left = max(0.0, give_up_at - time.monotonic())
                frame = self._frames.get(timeout=left)
                if number_in(json.loads(frame.data).get("text", "")) == number:
                    return frame
        raise LoadTestError(f"the frame of comment {number} did not come in {FRAME_SECONDS:g} s")

    def __enter__(self) -> Subscriber:
        frames = self._client.connect()
        while self._client.connected and not self._client.last_event_id:
            frames += self._client.read(FRAME_SECONDS)
        for frame in frames:
            self._frames.put(frame)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._thread.join(FRAME_SECONDS)
        self._client.close()

    def _read(self) -> None:
        while self._client.connected and not self._stopped.is_set():
            with suppress(TimeoutError, OSError):
                for frame in self._client.read(1):
                    self._frames.put(frame)


def _row(name: str, values: list[float]) -> tuple[str, str, str, str]:
    found = Percentiles.of(values)
    return (name, f"{found.p50:.1f}", f"{found.p95:.1f}", f"{found.max:.1f}")
