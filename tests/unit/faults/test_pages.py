"""A watching page finds its cursor in the page that the example site renders."""

from __future__ import annotations

import pytest
from django.test import Client

from django_hooks import page
from example_site.threads.models import Thread
from tests.faults.readers.pages import cursor_in_page


@pytest.mark.django_db
@pytest.mark.parametrize("cursor", ["0123abcd.1700000000000-3", ""])
def test_the_cursor_is_found(client: Client, monkeypatch: pytest.MonkeyPatch, cursor: str) -> None:
    class Cursors:
        def take(self) -> str:
            return cursor

    monkeypatch.setattr(page, "_cursors", Cursors())
    thread = Thread.objects.create(title='On "bread" & butter')
    assert cursor_in_page(client.get(f"/threads/{thread.pk}/").content) == cursor
