"""Fixtures for a site's tests; pytest finds them by itself where Pushgate is installed.

    def test_who_comments_is_heard(pushgate_events, thread):
        Comment.objects.create(thread=thread, author="Ada", text="Hello")
        assert pushgate_events.types == ["comment.created"]

They need pytest-django. Nothing but pytest imports this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django_hooks.testing import CapturedEvents

# pytest imports this before Django has its settings, so the fixtures import the rest themselves.


@pytest.fixture
def pushgate_events(db: None) -> Iterator[CapturedEvents]:
    """The events recorded in this test, without Redis: `django_hooks.testing.captured_events`."""
    from django_hooks.testing import captured_events

    with captured_events() as events:
        yield events


@pytest.fixture
def pushgate_hooks_disabled() -> Iterator[None]:
    """No event is recorded in this test: `django_hooks.switch.hooks_disabled`."""
    from django_hooks.switch import hooks_disabled

    with hooks_disabled():
        yield
