"""Writers who post, edit and delete comments through the site's API, one by one and many at once,
and note each write before they send it.

Each writer keeps to the comments that it wrote, so that it knows what the site must answer. What
became of a write without an answer it does not know; it looks into the thread afterwards, and goes
on with what it finds there.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count

from loadtest.record import Answer, number_in, text_with
from loadtest.site import CallRefused, CallUnanswered, Site
from stack.errors import StackError
from tests.faults.evidence import Write

CREATED, UPDATED, DELETED = "comment.created", "comment.updated", "comment.deleted"

TIMEOUT_SECONDS = 5.0
"""A write that is not answered by then is ambiguous."""

_FEWEST, _MOST = 8, 30
"""Comments a writer keeps in a thread."""

_LARGEST_BULK = 25
_NOBODYS = 2**40
"""The id of no comment."""


class Writer(threading.Thread):
    """One client of the site's API.

    Args:
        place: of this writer among `writers`; its writes' numbers tell it.
        events_per_second: about how many events it causes.
    """

    def __init__(
        self,
        site: Site,
        threads: Sequence[int],
        place: int,
        writers: int,
        seed: str,
        events_per_second: float,
    ) -> None:
        super().__init__(name=f"writer {place}", daemon=True)
        self.writes: list[Write] = []
        self.recent: dict[int, deque[Write]] = {thread: deque(maxlen=64) for thread in threads}
        self._site = site
        self._threads = tuple(threads)
        self._own: dict[int, set[int]] = {thread: set() for thread in threads}
        self._place = place
        self._writers = writers
        self._numbers = count(1)
        self._random = random.Random(f"{seed}/{place}")
        self._events_per_second = events_per_second
        self._enough = threading.Event()

    def stop(self) -> None:
        """Begin no more writes."""
        self._enough.set()

    def run(self) -> None:
        """Write until told to stop."""
        due_at = time.monotonic()
        while not self._enough.is_set():
            thread = self._random.choice(self._threads)
            events = self._turn(thread)
            pause = max(events, 1) / self._events_per_second * self._random.uniform(0.5, 1.5)
            # What an outage made impossible is not made up for.
            due_at = max(due_at + pause, time.monotonic() - 0.5)
            self._enough.wait(max(0.0, due_at - time.monotonic()))

    def _turn(self, thread: int) -> int:
        """Make one write; returns how many events it causes."""
        own = sorted(self._own[thread])
        what = self._random.random()
        if len(own) < _FEWEST or (what < 0.2 and len(own) < _MOST):
            return self._create_one(thread)
        if what < 0.24 and len(own) < _MOST:
            return self._create_many(thread)
        if what < 0.70:
            return self._edit_one(thread, self._random.choice(own))
        if what < 0.74:
            return self._edit_many(thread, own)
        if what < 0.77:
            return self._edit_in_vain(thread, own)
        if what < 0.95 or len(own) < _MOST:
            return self._delete_one(thread, self._random.choice(own))
        return self._delete_many(thread, own)

    def _create_one(self, thread: int) -> int:
        write, text = self._begin(thread, CREATED)

        def call() -> None:
            write.comments = (self._site.add_comment(thread, self.name, text),)

        return self._send(write, call, 1)

    def _create_many(self, thread: int) -> int:
        write, text = self._begin(thread, CREATED)
        texts = [text] * self._random.randint(2, _LARGEST_BULK)
        write.many = len(texts)

        def call() -> None:
            write.comments = tuple(self._site.add_comments(thread, self.name, texts))

        return self._send(write, call, len(texts))

    def _edit_one(self, thread: int, comment: int) -> int:
        write, text = self._begin(thread, UPDATED, (comment,))
        return self._send(write, lambda: self._site.edit_comment(comment, text), 1)

    def _edit_many(self, thread: int, own: Sequence[int]) -> int:
        write, text = self._begin(thread, UPDATED, self._some(own))
        texts = dict.fromkeys(write.comments, text)
        return self._send(write, lambda: self._site.edit_comments(thread, texts), len(texts))

    def _edit_in_vain(self, thread: int, own: Sequence[int]) -> int:
        """Edit several, of which the last is not there: the site takes all back."""
        write, text = self._begin(thread, UPDATED, (*self._some(own), _NOBODYS))
        write.doomed = True
        texts = dict.fromkeys(write.comments, text)
        return self._send(write, lambda: self._site.edit_comments(thread, texts), 0)

    def _delete_one(self, thread: int, comment: int) -> int:
        write, _ = self._begin(thread, DELETED, (comment,))
        return self._send(write, lambda: self._site.delete_comment(comment), 1)

    def _delete_many(self, thread: int, own: Sequence[int]) -> int:
        write, _ = self._begin(thread, DELETED, self._some(own))
        chosen = write.comments
        return self._send(write, lambda: self._site.delete_comments(thread, chosen), len(chosen))

    def _some(self, own: Sequence[int]) -> tuple[int, ...]:
        most = min(len(own), _LARGEST_BULK)
        return tuple(self._random.sample(own, self._random.randint(2, most)))

    def _begin(self, thread: int, kind: str, comments: tuple[int, ...] = ()) -> tuple[Write, str]:
        """Note a write, which is not sent yet."""
        number = next(self._numbers) * self._writers + self._place
        write = Write(number, thread, kind, time.monotonic(), comments)
        self.writes.append(write)
        return write, text_with(number, f"what {self.name} says")

    def _send(self, write: Write, call: Callable[[], None], events: int) -> int:
        self.recent[write.thread].append(write)
        try:
            call()
        except CallRefused:
            write.answer = Answer.REFUSED
        except CallUnanswered:
            write.answer = Answer.NONE
        else:
            write.answer = Answer.ACCEPTED
        write.answered_at = time.monotonic()
        own = self._own[write.thread]
        if write.answer is Answer.NONE or (write.answer is Answer.REFUSED and not write.doomed):
            self._enough.wait(self._random.uniform(0.02, 0.2))
            self._look_again(write.thread)
        elif write.type == CREATED:
            own |= set(write.comments)
        elif write.type == DELETED:
            own -= set(write.comments)
        return events

    def _look_again(self, thread: int) -> None:
        """Learn which of our comments there are now; without an answer, let them all be."""
        self._own[thread] = set()
        with suppress(CallRefused, CallUnanswered):
            self._own[thread] = {
                comment
                for comment, text in self._site.comments(thread).items()
                if number_in(text) % self._writers == self._place
            }


class Load:
    """All writers.

    Args:
        threads: how many threads they begin.
        events_per_second: of all of them, about.
    """

    def __init__(
        self, site_url: str, seed: str, *, threads: int, writers: int, events_per_second: float
    ) -> None:
        site = Site(site_url, TIMEOUT_SECONDS)
        self.threads = tuple(site.add_thread(f"Thread {n}") for n in range(1, threads + 1))
        self.writers = [
            Writer(site, self.threads, place, writers, seed, events_per_second / writers)
            for place in range(writers)
        ]

    def start(self) -> None:
        """Begin to write."""
        for writer in self.writers:
            writer.start()

    def stop(self) -> None:
        """Write no more; returns when the last write is answered or given up."""
        for writer in self.writers:
            writer.stop()
        for writer in self.writers:
            writer.join(3 * TIMEOUT_SECONDS)

    def check(self) -> None:
        """Raise StackError when a writer has died: then there was less load than was asked for."""
        dead = [writer.name for writer in self.writers if not writer.is_alive()]
        if dead:
            raise StackError(f"{', '.join(dead)} died; what it was stands above")

    def writes(self) -> list[Write]:
        """Return all writes until now."""
        return [write for writer in self.writers for write in list(writer.writes)]

    def begun_since(self, thread: int, moment: float) -> list[Write]:
        """Return the latest writes to a thread that were begun after a moment and show a text."""
        return [
            write
            for writer in self.writers
            for write in list(writer.recent[thread])
            if write.begun_at >= moment and write.type != DELETED and not write.doomed
        ]
