"""Pages that watch a thread as a browser does: rendered by the site, then live by the stream.

They read with the standard's own parser, which is another one than the crowd's. Recovery is
measured with them, so they come back at once and not after the gateway's `retry:`.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import OrderedDict
from html.parser import HTMLParser
from urllib.parse import urlsplit

from loadtest.eventsource import EventSourceClient, EventSourceError, ReceivedEvent
from loadtest.record import number_in
from tests.faults.evidence import Evidence, Mark, ReaderHistory, Sign
from tests.faults.readers.crowd import add_readers

_ANSWER_SECONDS = 5.0
"""Of the site, and of the gateway's first words."""
_LOOK_SECONDS = 0.25
"""How soon a page that is told to stop does so."""
_SILENCE_SECONDS = 25.0
"""Longer than from one ping to the next: the stream is given up."""
_BACK_SECONDS = (0.05, 0.2)
_LIST_LENGTH = 1_000
_MOST_ARRIVALS = 20_000
_MOST_BYTES = 64 * 1024 * 1024


class Unanswered(Exception):
    """The site did not give what was asked for; it may the next time."""


class WatchingPage(threading.Thread):
    """One page, from when it is opened to when it is left.

    Args:
        site: its `http://host:port`.
        gateway: the same of the gateway.
        seed: decides how long it waits before it comes back.

    Attributes:
        history: what it got, with times; complete when the thread has ended.
        frames: each different block, which the history names by its place here.
    """

    def __init__(self, name: str, site: str, gateway: str, thread: int, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.history = ReaderHistory(name, (f"thread:{thread}",))
        self.frames: list[bytes] = []
        self._site = site
        self._address = f"{gateway}/sub/thread:{thread}"
        self._thread = thread
        self._chance = random.Random(f"{seed} {name}")
        self._numbers: dict[bytes, int] = {}
        self._arrivals: OrderedDict[int, float] = OrderedDict()
        self._enough = threading.Event()
        self._client: EventSourceClient | None = None
        self._is_listed = self._is_live = False

    @property
    def is_live(self) -> bool:
        """Whether its list is read and its stream has said its position."""
        return self._is_listed and self._is_live

    def arrived_at(self, number: int) -> float | None:
        """Return when a write's frame came to this page (monotonic clock); None when it has not
        come yet. That the list has it says nothing of the way of its event. Any thread may ask.
        """
        return self._arrivals.get(number)

    def stop(self) -> None:
        """Leave the page; `join` it afterwards."""
        self._enough.set()

    def add_to(self, evidence: Evidence) -> None:
        """Put what it got beside what others got; to be called once, after it has ended."""
        add_readers(evidence, self.frames, [self.history])
        for at in self.history.times:
            evidence.per_second[int(at)] = evidence.per_second.get(int(at), 0) + 1

    def run(self) -> None:
        """Watch until told to stop."""
        while not self._enough.is_set():
            try:
                if not self._is_listed:
                    self._open()
                self._watch()
            except Unanswered:
                pass
            except EventSourceError as error:
                self._mark(Sign.ERROR, reason=str(error))
            except (OSError, ValueError, IndexError):
                # Cut, or what came is no HTTP at all.
                pass
            self._leave_stream()
            self._enough.wait(self._chance.uniform(*_BACK_SECONDS))

    # The page

    def _open(self) -> None:
        """Have the site render the page, and read the list."""
        cursor = cursor_in_page(self._get(f"/threads/{self._thread}/"))
        if not cursor:
            # Rendered while the site could not ask: the stream itself says where it begins.
            cursor = self._begin_without_cursor()
        at, comments = time.monotonic(), self._read_list()
        self._mark(Sign.LISTED, cursor, comments=comments, at=at)
        self._is_listed = True
        if self._client is None:
            self._client = EventSourceClient(self._address, cursor, timeout_seconds=_ANSWER_SECONDS)

    def _begin_without_cursor(self) -> str:
        client = EventSourceClient(self._address, timeout_seconds=_ANSWER_SECONDS)
        try:
            early = client.connect()
            while client.connected and not client.last_event_id and not early:
                early = client.read(_ANSWER_SECONDS)
        finally:
            # What comes now is asked for again, with the cursor.
            client.close()
        if early or not client.last_event_id:
            raise Unanswered("the stream did not begin with its position")
        return client.last_event_id

    def _read_list(self) -> dict[int, str]:
        comments: dict[int, str] = {}
        before = ""
        while True:
            path = f"/api/threads/{self._thread}/comments/?limit={_LIST_LENGTH}{before}"
            try:
                answer = json.loads(self._get(path))
                rows = {int(row["id"]): str(row["text"]) for row in answer["comments"]}
                has_more = bool(answer["earlier"]) and bool(rows)
            except (ValueError, KeyError, TypeError):
                raise Unanswered(f"{path} answered no list") from None
            comments.update(rows)
            if not has_more:
                break
            before = f"&before={min(rows)}"
        return comments

    def _get(self, path: str) -> bytes:
        parts = urlsplit(self._site)
        connection = http.client.HTTPConnection(
            parts.hostname or "127.0.0.1", parts.port, timeout=_ANSWER_SECONDS
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(f"{path}: {error}") from None
        finally:
            connection.close()
        if answer.status != 200:
            raise Unanswered(f"{path}: {answer.status}")
        return body

    # The stream

    def _watch(self) -> None:
        """Follow the stream until it ends, or until the page must be read anew."""
        client = self._client
        assert client is not None, "a page that is read has its stream's position"
        blocks_before = client.parser.blocks
        events = client.connect()
        heard_at = time.monotonic()
        while not self._enough.is_set():
            if not self._is_live and client.parser.blocks > blocks_before:
                self._say_position(client, events)
            for event in events:
                if not self._take(event):
                    return
            if not client.connected:
                return
            blocks, comments = client.parser.blocks, client.parser.comments
            try:
                events = client.read(_LOOK_SECONDS)
            except TimeoutError:
                events = []
            if (client.parser.blocks, client.parser.comments) != (blocks, comments):
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > _SILENCE_SECONDS:
                return

    def _say_position(self, client: EventSourceClient, events: list[ReceivedEvent]) -> None:
        if events and events[0].type == "error":
            return
        # An id that came together with frames has moved on already; what matters is that it began.
        cursor = client.last_event_id if not events else ""
        self._is_live = True
        self._mark(Sign.SUBSCRIBED, cursor)

    def _take(self, event: ReceivedEvent) -> bool:
        """Note an event; return whether to go on with this stream."""
        if event.type in ("reset", "error"):
            sign = Sign.RESET if event.type == "reset" else Sign.ERROR
            self._mark(sign, event.id, _reason_in(event.data))
            self._is_listed = self._is_listed and sign is not Sign.RESET
            return False
        now = time.monotonic()
        block = f"id: {event.id}\nevent: {event.type}\ndata: {event.data}".encode()
        number = self._numbers.setdefault(block, len(self.frames))
        if number == len(self.frames):
            self.frames.append(block)
        self.history.frames.append(number)
        self.history.times.append(now)
        self._note_arrival(number_in(event.data), now)
        return True

    def _leave_stream(self) -> None:
        if self._client is not None:
            self._client.close()
            if self._is_live:
                self._mark(Sign.ENDED)
            if not self._is_listed:
                self._client = None
        self._is_live = False

    def _note_arrival(self, number: int, at: float) -> None:
        if number and number not in self._arrivals:
            self._arrivals[number] = at
            if len(self._arrivals) > _MOST_ARRIVALS:
                self._arrivals.popitem(last=False)

    def _mark(
        self,
        sign: Sign,
        cursor: str = "",
        reason: str = "",
        *,
        comments: dict[int, str] | None = None,
        at: float | None = None,
    ) -> None:
        when = time.monotonic() if at is None else at
        after = len(self.history.frames)
        self.history.marks.append(Mark(after, sign, when, cursor, reason, comments))


class _CursorReader(HTMLParser):
    """Finds the cursor that the page was rendered with."""

    cursor = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Look at one tag."""
        named = dict(attributes)
        if named.get("id") == "thread":
            self.cursor = named.get("data-cursor") or ""


def cursor_in_page(page: bytes) -> str:
    """Return the cursor in a thread's HTML, "" when it was rendered without one."""
    reader = _CursorReader()
    reader.feed(page.decode("utf-8", "replace"))
    return reader.cursor


def _reason_in(data: str) -> str:
    try:
        said = json.loads(data)
    except ValueError:
        return data[:80]
    return str(said.get("reason", "")) if isinstance(said, dict) else data[:80]
