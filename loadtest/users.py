"""Who reads and who writes: the two kinds of locust users."""

from __future__ import annotations

import time
from math import inf
from random import Random

import gevent
from locust import User, constant, task
from locust.env import Environment

from loadtest.eventsource import EventSourceClient, EventSourceError, ReceivedEvent
from loadtest.record import Answer, Kind, Write, text_with
from loadtest.session import LoadSession, Phase, session_of
from loadtest.settings import LoadSettings
from loadtest.site import CallFailed, CallRefused, CallUnanswered

# The gateway says something every 15 s at the latest.
SILENCE_SECONDS = 45.0
# So soon does a reader notice that it is to stop.
READ_SECONDS = 2.0
CONNECT_SECONDS = 15.0
DROP_EVERY_SECONDS = 10.0
AWAY_SECONDS = 2.0
# What a browser waits where the server has not said anything.
RETRY_SECONDS = 3.0
# Comments a commenter still edits and deletes; older ones are left alone.
REMEMBERED_COMMENTS = 20

_TEXT = (
    "I have just tried it and it works better than I had hoped. The second step took some time, "
    "though, and I would not do it again without reading the notes first. Has anybody compared "
    "the two? What surprised me most is how little is left to do once the first part is right."
)


def fix_counts(settings: LoadSettings) -> None:
    """Have locust spawn so many of each kind of user."""
    Reader.fixed_count = settings.readers
    Commenter.fixed_count = settings.commenters


class Reader(User):
    """One open thread: an EventSource that stays, and comes back by its last id when it is cut."""

    wait_time = constant(0)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._session: LoadSession = session_of(environment)
        settings = self._session.settings
        number = self._session.next_number(Reader)
        self._random = Random(f"{settings.seed} reader {number}")
        self._journal = self._session.record.add_reader()
        channel = f"thread:{self._journal.thread.thread}"
        self._client = EventSourceClient(
            f"{self._session.gateway_url}/sub/{channel}", timeout_seconds=CONNECT_SECONDS
        )
        self._resumes = number <= settings.readers * settings.resuming_percent / 100
        self._drops_at = self._next_drop()
        self._connected_time = inf
        self._heard_at = 0.0

    def on_stop(self) -> None:
        """Close the stream."""
        self._client.close()

    @task
    def read(self) -> None:
        """Read once; before that connect, or drop the connection, when it is time."""
        if not self._client.connected:
            self._connect()
        elif self._drops_at < time.monotonic() and self._session.phase is Phase.WRITING:
            self._drop()
        else:
            self._read()

    def _connect(self) -> None:
        name = "resume" if self._client.last_event_id else "connect"
        begun_at, blocks = time.monotonic(), self._client.parser.blocks
        # Frames older than this come from history, not as they happen.
        self._connected_time = time.time()
        try:
            frames = self._client.connect()
            while self._client.connected and self._client.parser.blocks == blocks:
                frames += self._client.read(CONNECT_SECONDS)
            if not self._client.connected:
                raise EventSourceError("the stream ended before it had said its position")
        except (OSError, EventSourceError) as error:
            self._client.close()
            self._session.measured("SSE", name, _ms_since(begun_at), error)
            self._wait_to_retry()
            return
        milliseconds = _ms_since(begun_at)
        self._connected_time = time.time()
        self._heard_at = time.monotonic()
        self._journal.subscribed_at = min(self._journal.subscribed_at, self._heard_at)
        self._session.counts[name] += 1
        self._session.connect_ms.append(milliseconds)
        self._session.measured("SSE", name, milliseconds)
        self._take(frames)

    def _read(self) -> None:
        try:
            frames = self._client.read(READ_SECONDS)
        except TimeoutError:
            if time.monotonic() - self._heard_at > SILENCE_SECONDS:
                self._session.failed("SSE silence", f"nothing came in {SILENCE_SECONDS:g} s")
                self._client.close()
            return
        except (OSError, EventSourceError):
            self._client.close()
            frames = []
        self._heard_at = time.monotonic()
        self._take(frames)
        if not self._client.connected:
            self._session.counts["cut off"] += 1
            self._wait_to_retry()

    def _drop(self) -> None:
        self._client.close()
        gevent.sleep(self._random.uniform(0, AWAY_SECONDS))
        self._drops_at = self._next_drop()

    def _take(self, frames: list[ReceivedEvent]) -> None:
        for frame in frames:
            if frame.type in ("reset", "error"):
                self._session.failed(f"SSE {frame.type}", frame.data[:200])
                continue
            event = self._journal.receive(frame, self._connected_time)
            if not self._journal.replayed[-1]:
                milliseconds = (frame.received_at - event.at) * 1000
                self._session.measured("SSE", "frame delivery", milliseconds)

    def _wait_to_retry(self) -> None:
        retry_ms = self._client.parser.retry_ms
        gevent.sleep(RETRY_SECONDS if retry_ms is None else retry_ms / 1000)

    def _next_drop(self) -> float:
        if not self._resumes:
            return inf
        return time.monotonic() + self._random.expovariate(1 / DROP_EVERY_SECONDS)


class Commenter(User):
    """Posts mostly; now and then edits or deletes a comment of its own."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._session: LoadSession = session_of(environment)
        self._number = self._session.next_number(Commenter)
        self._random = Random(f"{self._session.settings.seed} commenter {self._number}")
        # (place of the thread in the record, comment id) of its own comments.
        self._own: list[tuple[int, int]] = []

    def wait_time(self) -> float:
        """Return the seconds to the next write, drawn as of people who do not know each other."""
        rate = self._session.settings.writes_per_second
        return min(self._random.expovariate(rate), 5 / rate)

    @task
    def write(self) -> None:
        """Write once."""
        if self._session.phase is not Phase.WRITING:
            return
        dice = self._random.random()
        if dice < 0.7 or not self._own:
            self._write(Kind.CREATE, self._random.randrange(len(self._session.record.threads)), 0)
            return
        place = self._random.randrange(len(self._own))
        # Taken out, and put back when it was edited for sure.
        thread, comment = self._own.pop(place)
        self._write(Kind.UPDATE if dice < 0.9 else Kind.DELETE, thread, comment)

    def _write(self, kind: Kind, thread: int, comment: int) -> None:
        record = self._session.record.threads[thread]
        write = self._session.record.begin(record, kind, comment, time.monotonic())
        error: Exception | None = None
        try:
            self._call(write)
        except CallFailed as failed:
            error = failed
        except CallUnanswered:
            self._session.counts["unanswered"] += 1
            return
        except CallRefused as refused:
            write.answer, error = Answer.REFUSED, refused
        else:
            write.answered_at, write.answered_time = time.monotonic(), time.time()
            write.answer = Answer.ACCEPTED
            if kind is not Kind.DELETE:
                self._own = [*self._own[1 - REMEMBERED_COMMENTS :], (thread, write.comment)]
        self._session.measured("API", kind.value, _ms_since(write.begun_at), error)

    def _call(self, write: Write) -> None:
        site = self._session.site
        words = " ".join(self._random.choices(_TEXT.split(), k=self._random.randint(5, 60)))
        text = text_with(write.number, words)
        if write.kind is Kind.CREATE:
            write.comment = site.add_comment(write.thread, f"Commenter {self._number}", text)
        elif write.kind is Kind.UPDATE:
            site.edit_comment(write.comment, text)
        else:
            site.delete_comment(write.comment)


def _ms_since(moment: float) -> float:
    return (time.monotonic() - moment) * 1000
