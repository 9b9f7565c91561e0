"""For a site's own tests: which events did this code record? Without Redis, without a relay.

    from django_hooks.testing import captured_events

    class CommentTests(TestCase):
        def test_who_comments_is_heard(self):
            with captured_events() as events:
                Comment.objects.create(thread=self.thread, author="Ada", text="Hello")
            self.assertEqual(events.types, ["comment.created"])
            self.assertEqual(events[0].channels, ("thread:1",))

With pytest the fixture `pushgate_events` (`django_hooks.pytest_plugin`) is the same for a whole
test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, overload
from unittest import mock

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Max
from django.test import override_settings

from django_hooks import wake
from django_hooks.models import OutboxRow
from pushgate import Event

__all__ = ["CapturedEvents", "captured_events"]


class CapturedEvents(Sequence[Event]):
    """The events recorded since it began, in order, as the outbox holds them at this moment.

    An event is there as soon as its row is written and seen by the test's connection: within a
    transaction before the commit, as in a `TestCase`, whose transaction never commits at all. What
    a rollback, also one to a savepoint, undoes is not there (any more). Every look at it is one
    query (`await sync_to_async(list)(events)` in an async test). Events have `version` 0: the
    relay counts them later.
    """

    def __init__(self, using: str = DEFAULT_DB_ALIAS) -> None:
        self._rows = OutboxRow.objects.using(using).order_by("id")
        self._start = 0
        self._kept: list[Event] | None = None
        self.clear()

    def clear(self) -> None:
        """Forget the events so far."""
        newest = self._rows.aggregate(newest=Max("id"))["newest"]
        self._start = newest or 0

    def stop(self) -> None:
        """Keep what is there, and take no more.

        A transaction that an error has broken will be rolled back: nothing of it is there.
        """
        self._kept = [] if connections[self._rows.db].needs_rollback else self._read()

    @property
    def types(self) -> list[str]:
        """What happened: `["comment.created", "comment.updated"]`."""
        return [event.type for event in self]

    def of(self, event_type: str) -> list[Event]:
        """Return the events of one type."""
        return [event for event in self if event.type == event_type]

    def on(self, channel: str) -> list[Event]:
        """Return the events that go to a channel."""
        return [event for event in self if channel in event.channels]

    def __len__(self) -> int:
        return len(self._now())

    def __iter__(self) -> Iterator[Event]:
        return iter(self._now())

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        return self._now()[index]

    def __repr__(self) -> str:
        told = (f"{event.type} of {event.object or '?'}" for event in self)
        return f"<CapturedEvents: {', '.join(told) or 'none'}>"

    def _now(self) -> list[Event]:
        return self._read() if self._kept is None else self._kept

    def _read(self) -> list[Event]:
        texts = self._rows.filter(id__gt=self._start).values_list("event", flat=True)
        return [Event.from_json(text) for text in texts]


@contextmanager
def captured_events(using: str = DEFAULT_DB_ALIAS) -> Iterator[CapturedEvents]:
    """Give the events recorded within the block; afterwards they stay as they were at its end.

    Nothing reaches for Redis meanwhile, also not when a transaction commits. In the mode
    `on_commit` events go to the outbox as well, for the length of the block, so that a test sees
    them whether its transaction commits or not.

    Args:
        using: the database whose outbox is looked at.
    """
    outbox: dict[str, Any] = {**getattr(settings, "PUSHGATE", {}), "MODE": "outbox"}
    with override_settings(PUSHGATE=outbox), mock.patch.object(wake, "nudge", _do_not_wake):
        events = CapturedEvents(using)
        yield events
        events.stop()


def _do_not_wake() -> None:
    """Stand in for the relay's wake-up call."""
