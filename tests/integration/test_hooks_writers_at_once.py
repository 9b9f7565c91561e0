"""Two who write at once: the later event knows what the earlier one did."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

from django_hooks.registry import Action, ModelHook, registry
from django_hooks.testing import CapturedEvents, captured_events
from example_site.settings import database
from stack.process import wait_until
from tests.archive.models import Book, Tag
from tests.integration.conftest import close_database, open_database


class BookHook(ModelHook[Book]):
    """Tells of a book with its tags."""

    actions = ("updated", "tags.added")

    def channels(self, instance: Book, action: Action) -> list[str]:
        return ["archive"]

    def data(self, instance: Book, action: Action) -> dict[str, Any]:
        words = instance.tags.order_by("word").values_list("word", flat=True)
        return {"pages": instance.pages, "tags": list(words)}


@pytest.fixture
def events(site_database: str) -> Iterator[CapturedEvents]:
    registry.register(Book, BookHook)
    with captured_events(using=site_database) as captured:
        yield captured
    registry.unregister(Book)


def in_a_thread(act: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            act()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def somebody_waits(alias: str) -> bool:
    """Whether a transaction waits for another one's lock."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def while_open(alias: str, first: Callable[[], object], second: Callable[[], object]) -> None:
    """Do `second` in another connection while the transaction of `first` is open."""
    with transaction.atomic(using=alias):
        first()
        thread = in_a_thread(second)
        if connections[alias].vendor == "postgresql":
            wait_until(lambda: somebody_waits(alias), 60, "the second waits for the first")
    thread.join(20)
    assert not thread.is_alive()


def test_of_two_who_add_to_one_relation_the_later_event_knows_both(
    events: CapturedEvents, site_database: str
):
    book = Book.objects.create(title="One")
    red, green = (Tag.objects.create(word=word) for word in ("red", "green"))
    same = Book.objects.get(pk=book.pk)
    while_open(site_database, lambda: book.tags.add(red), lambda: same.tags.add(green))
    assert [event.data["tags"] for event in events] == [["red"], ["green", "red"]]


def test_two_updates_of_one_row_are_told_in_their_order(events: CapturedEvents, site_database: str):
    Book.objects.create(title="One")
    while_open(
        site_database,
        lambda: Book.objects.update(pages=1),
        lambda: Book.objects.update(pages=2),
    )
    assert [event.data["pages"] for event in events] == [1, 2]
    assert Book.objects.get().pages == 2


def test_a_row_that_no_longer_matches_is_not_updated(events: CapturedEvents, site_database: str):
    book = Book.objects.create(title="One", shelf="A")
    while_open(
        site_database,
        lambda: Book.objects.filter(pk=book.pk).update(shelf="B"),
        lambda: Book.objects.filter(shelf="A").update(pages=5),
    )
    assert Book.objects.get().pages == 0
    assert {event.data["pages"] for event in events} == {0}


def test_an_update_on_a_deferred_sqlite_transaction_is_not_overtaken(
    migrated_sqlite: Path, tmp_path: Path, settings: Any, django_db_blocker: Any
):
    """A reader who wants to write while another has written fails at once, however long it may
    wait; so an update that looks before it writes begins as a writer."""
    path = tmp_path / "deferred.sqlite3"
    path.write_bytes(migrated_sqlite.read_bytes())
    options = {"init_command": "PRAGMA journal_mode=WAL;"}
    with django_db_blocker.unblock():
        for alias, timeout in (("deferred", 5), ("other", 0)):
            open_database(
                alias,
                {**database(), "NAME": str(path), "OPTIONS": {**options, "timeout": timeout}},
            )
        Book.objects.using("deferred").create(title="One")
        overtaken: list[bool] = []

        def try_to_overtake(execute: Any, sql: str, *arguments: Any) -> Any:
            found = execute(sql, *arguments)
            if sql.startswith("SELECT") and not overtaken:
                try:
                    Tag.objects.using("other").create(word="red")
                    overtaken.append(True)
                except OperationalError:
                    overtaken.append(False)
            return found

        registry.register(Book, BookHook)
        try:
            with captured_events(using="deferred") as events:
                with connections["deferred"].execute_wrapper(try_to_overtake):
                    Book.objects.using("deferred").update(pages=7)
                assert [event.data["pages"] for event in events] == [7]
        finally:
            registry.unregister(Book)
            for alias in ("deferred", "other"):
                close_database(alias)
    assert overtaken == [False]
