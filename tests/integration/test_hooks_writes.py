"""Every write of a registered model is told of once, in its transaction, on both databases."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.core.management import call_command
from django.db import IntegrityError, connections, models, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat

from django_hooks import querysets
from django_hooks.outbox_writer import ROWS_IN_A_STATEMENT
from django_hooks.registry import Action, ModelHook, registry
from django_hooks.switch import hooks_disabled
from django_hooks.testing import CapturedEvents, captured_events
from stack.process import wait_until
from tests.archive.models import Atlas, Book, Chapter, Loan, Paperback, Person, Tag, Ticket

SELECT_LOCK_AND_READ_BACK = 2


class LibraryHook(ModelHook[models.Model]):
    """Tells of anything, by its name."""

    def channels(self, instance: models.Model, action: Action) -> list[str]:
        return ["archive"]

    def data(self, instance: models.Model, action: Action) -> dict[str, Any]:
        return {"pk": str(instance.pk), "name": str(instance)}


class BookHook(LibraryHook):
    """Tells of a book and its relations."""

    actions = (
        *("created", "updated", "deleted"),
        *("tags.added", "tags.removed", "readers.added", "readers.removed"),
    )

    def data(self, instance: models.Model, action: Action) -> dict[str, Any]:
        assert isinstance(instance, Book)
        return {"title": instance.title, "pages": instance.pages, "shelf": instance.shelf}


@contextmanager
def told_of(**hooks: type[ModelHook[Any]]) -> Iterator[None]:
    """Register hooks by the models' names."""
    models_told = [apps.get_model("archive", name) for name in hooks]
    for model, hook in zip(models_told, hooks.values(), strict=True):
        registry.register(model, hook)
    try:
        yield
    finally:
        for model in models_told:
            registry.unregister(model)


@pytest.fixture
def events(site_database: str) -> Iterator[CapturedEvents]:
    with captured_events(using=site_database) as captured:
        yield captured


@pytest.fixture
def book_hook(events: CapturedEvents) -> Iterator[None]:
    with told_of(Book=BookHook):
        yield


def told(events: CapturedEvents) -> list[tuple[str, str]]:
    """What happened to which book."""
    return [(event.type.removeprefix("book."), event.data["title"]) for event in events]


def queries(alias: str, act: Callable[[], object]) -> int:
    """How many statements `act` sends, but for the BEGIN that SQLite is sent as one."""
    sent = 0

    def note(execute: Any, sql: str, *arguments: Any) -> Any:
        nonlocal sent
        sent += not sql.startswith("BEGIN")
        return execute(sql, *arguments)

    with connections[alias].execute_wrapper(note):
        act()
    return sent


@pytest.mark.usefixtures("book_hook")
class TestOneByOne:
    """Saves and deletes, which Django sends signals for."""

    def test_each_way_to_save_is_told_once(self, events: CapturedEvents):
        Book.objects.create(title="create")
        Book(title="save").save()
        Book.objects.get_or_create(title="get_or_create")
        Book.objects.get_or_create(title="get_or_create")
        Book.plain.update_or_create(title="update_or_create", defaults={"pages": 1})
        Book.plain.update_or_create(title="update_or_create", defaults={"pages": 2})
        assert told(events) == [
            ("created", "create"),
            ("created", "save"),
            ("created", "get_or_create"),
            ("created", "update_or_create"),
            ("updated", "update_or_create"),
        ]

    def test_the_asynchronous_ways_are_told_as_well(self, events: CapturedEvents):
        async def write() -> None:
            book = await Book.objects.acreate(title="acreate")
            await book.asave()
            await Book.objects.abulk_create([Book(title="abulk_create")])
            await Book.objects.filter(title="abulk_create").aupdate(title="aupdate")
            book.title = "abulk_update"
            await Book.objects.abulk_update([book], ["title"])
            await Book.objects.filter(title="aupdate").adelete()
            await book.adelete()

        asyncio.run(write())
        assert told(events) == [
            ("created", "acreate"),
            ("updated", "acreate"),
            ("created", "abulk_create"),
            ("updated", "aupdate"),
            ("updated", "abulk_update"),
            ("deleted", "aupdate"),
            ("deleted", "abulk_update"),
        ]

    def test_a_parents_deletion_takes_each_object_and_its_event_along(self, events: CapturedEvents):
        with told_of(Chapter=LibraryHook):
            book = Book.objects.create(title="One")
            with hooks_disabled():
                Chapter.objects.bulk_create(Chapter(book=book, number=n) for n in range(3))
            events.clear()
            book.delete()
        assert sorted(events.types) == ["book.deleted", *["chapter.deleted"] * 3]

    def test_a_registered_model_is_never_deleted_unseen(self, events: CapturedEvents):
        """Without signals Django would delete the rows by one DELETE and load none of them."""
        Book.plain.create(title="One")
        events.clear()
        Book.plain.all().delete()
        assert told(events) == [("deleted", "One")]

    def test_a_key_set_to_null_by_a_deletion_is_an_update(self, events: CapturedEvents):
        author = Person.objects.create(name="Ada")
        Book.objects.create(title="Hers", author=author)
        Book.objects.create(title="Nobody's")
        events.clear()
        author.delete()
        assert told(events) == [("updated", "Hers")]

    def test_objects_moved_at_the_other_end_of_a_key_are_updates(self, events: CapturedEvents):
        author = Person.objects.create(name="Ada")
        book = Book.objects.create(title="Hers")
        events.clear()
        author.books.add(book)
        author.books.clear()
        assert told(events) == [("updated", "Hers")] * 2

    def test_a_fixtures_rows_and_relations_are_not_told_of(
        self, events: CapturedEvents, tmp_path: Path, site_database: str
    ):
        class TagHook(LibraryHook):
            """Tells of what a tag is put on."""

            actions = ("books.added",)

        tag = Tag.objects.create(word="red")
        fields = {"title": "Loaded", "tags": [tag.pk]}
        path = tmp_path / "books.json"
        path.write_text(json.dumps([{"model": "archive.book", "pk": 7, "fields": fields}]))
        with told_of(Tag=TagHook):
            call_command("loaddata", str(path), database=site_database, verbosity=0)
            assert list(Book.objects.get(pk=7).tags.all()) == [tag]
            assert list(events) == []
            Book.objects.get(pk=7).tags.clear()
        assert events.types == ["book.tags.removed"]


class BookHookOfTitles(BookHook):
    """Tells of changed titles and authors."""

    watched_fields = ("title", "author")


class TestWatchedFields:
    """Updates that say what they update."""

    @pytest.fixture(autouse=True)
    def hook(self, events: CapturedEvents) -> Iterator[None]:
        with told_of(Book=BookHookOfTitles):
            yield

    def test_an_update_of_other_fields_is_not_told(self, events: CapturedEvents):
        book = Book.objects.create(title="One")
        events.clear()
        book.save(update_fields=["pages"])
        Book.objects.update(pages=F("pages") + 1)
        Book.objects.bulk_update([book], ["shelf"])
        Book.objects.bulk_create(
            [Book(isbn="1")],
            update_conflicts=True,
            unique_fields=["isbn"],
            update_fields=["pages"],
        )
        events.clear()
        Book.objects.bulk_create(
            [Book(isbn="1", pages=2)],
            update_conflicts=True,
            unique_fields=["isbn"],
            update_fields=["pages"],
        )
        assert told(events) == []

    @pytest.mark.parametrize("name", ["author", "author_id"])
    def test_a_foreign_key_has_two_names(self, events: CapturedEvents, name: str):
        book = Book.objects.create(title="One")
        events.clear()
        book.save(update_fields=[name])
        Book.objects.update(**{name: None})
        assert told(events) == [("updated", "One")] * 2

    def test_a_plain_save_is_always_told(self, events: CapturedEvents):
        Book.objects.create(title="One").save()
        assert told(events) == [("created", "One"), ("updated", "One")]

    def test_deferred_fields_count_as_not_updated(self, events: CapturedEvents):
        Book.objects.create(title="One")
        events.clear()
        Book.objects.only("pages").get().save()
        assert told(events) == []


@pytest.mark.usefixtures("book_hook")
class TestInBulk:
    """Writes that Django sends no signals for."""

    def test_ten_thousand_rows_cost_one_more_query(
        self, events: CapturedEvents, site_database: str
    ):
        def write() -> None:
            Book.objects.bulk_create(Book(title=f"No. {n}") for n in range(10_000))

        with_hooks = queries(site_database, write)
        with hooks_disabled():
            without = queries(site_database, write)
        assert with_hooks == without + 10_000 // ROWS_IN_A_STATEMENT
        read = list(events)
        assert [event.data["title"] for event in read] == [f"No. {n}" for n in range(10_000)]
        assert len({event.object for event in read}) == 10_000
        assert len({event.id for event in read}) == 10_000

    def test_many_rows_are_several_statements_and_stay_in_order(
        self, events: CapturedEvents, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("django_hooks.outbox_writer.BYTES_IN_A_STATEMENT", 2000)
        Book.objects.bulk_create(Book(title=f"No. {n}") for n in range(30))
        assert [event.data["title"] for event in events] == [f"No. {n}" for n in range(30)]

    @pytest.mark.parametrize("rows", [1, 10, 200])
    def test_an_update_costs_three_more_queries_however_many_rows(
        self, events: CapturedEvents, site_database: str, rows: int
    ):
        with hooks_disabled():
            Book.objects.bulk_create(Book(title=str(n)) for n in range(rows))
        cost = queries(site_database, lambda: Book.objects.update(pages=1))
        assert cost == 1 + SELECT_LOCK_AND_READ_BACK + 1
        assert len(events) == rows

    @pytest.mark.parametrize("rows", [1, 10, 200])
    def test_a_bulk_update_costs_three_more_queries_for_each_of_its_batches(
        self, events: CapturedEvents, site_database: str, rows: int
    ):
        with hooks_disabled():
            books = Book.objects.bulk_create(Book(title=str(n)) for n in range(rows))
        for book in books:
            book.pages = 7
        cost = queries(site_database, lambda: Book.objects.bulk_update(books, ["pages"]))
        assert cost == 1 + SELECT_LOCK_AND_READ_BACK + 1
        assert [event.data["pages"] for event in events] == [7] * rows

    @pytest.mark.parametrize("rows", [1, 10, 200])
    def test_a_deletion_costs_one_more_query_however_many_rows(
        self, events: CapturedEvents, site_database: str, rows: int
    ):
        def write() -> list[Book]:
            with hooks_disabled():
                return Book.objects.bulk_create(Book(title=str(n)) for n in range(rows))

        write()
        with hooks_disabled():
            without = queries(site_database, lambda: Book.objects.all().delete())
        write()
        assert queries(site_database, lambda: Book.objects.all().delete()) == without + 1
        assert events.types == ["book.deleted"] * rows

    def test_an_update_tells_what_the_rows_hold_afterwards(self, events: CapturedEvents):
        Book.objects.bulk_create([Book(title="One", pages=1), Book(title="Two", pages=200)])
        events.clear()
        changed = Book.objects.long().update(
            pages=F("pages") * 2, title=Concat(F("title"), Value("!"))
        )
        assert changed == 1
        assert [event.data for event in events] == [{"title": "Two!", "pages": 400, "shelf": ""}]

    def test_an_update_that_ends_the_match_is_told(self, events: CapturedEvents):
        Book.objects.create(title="One", shelf="A")
        events.clear()
        Book.objects.filter(shelf="A").update(shelf="B")
        assert [event.data["shelf"] for event in events] == ["B"]

    def test_an_update_of_nothing_tells_nothing_and_is_checked(self, events: CapturedEvents):
        assert Book.objects.filter(pages=9).update(pages=1) == 0
        with pytest.raises(FieldDoesNotExist):
            Book.objects.filter(pages=9).update(**{"nonsense": 1})
        assert told(events) == []

    def test_updates_of_annotated_joined_and_distinct_rows_are_told(self, events: CapturedEvents):
        author = Person.objects.create(name="Ada")
        book = Book.objects.create(title="Hers", author=author)
        book.tags.add(*(Tag.objects.create(word=word) for word in "ab"))
        Book.objects.create(title="Nobody's")
        events.clear()
        Book.objects.filter(author__name="Ada").update(pages=1)
        Book.objects.filter(tags__word__in=["a", "b"]).distinct().update(pages=2)
        Book.objects.annotate(n=models.Count("tags")).filter(n=2).update(pages=3)
        Book.objects.order_by("-title").filter(title="Hers").update(pages=4)
        assert [(event.data["title"], event.data["pages"]) for event in events] == [
            ("Hers", pages) for pages in (1, 2, 3, 4)
        ]

    def test_more_rows_than_one_query_may_name_are_all_told(
        self, events: CapturedEvents, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(querysets, "PKS_IN_A_QUERY", 3)
        with hooks_disabled():
            Book.objects.bulk_create(Book(title=str(n)) for n in range(10))
        assert Book.objects.update(pages=1) == 10
        assert len(events) == 10

    def test_a_bulk_write_is_undone_with_its_events(self, events: CapturedEvents):
        Book.objects.create(title="There", isbn="1")
        events.clear()
        with pytest.raises(IntegrityError):
            Book.objects.bulk_create([Book(title="New", isbn="2"), Book(title="Twin", isbn="1")])
        with pytest.raises(RuntimeError), transaction.atomic(using=Book.objects.db):
            Book.objects.update(pages=3)
            Book.objects.all().delete()
            raise RuntimeError
        assert told(events) == []
        assert Book.objects.get().pages == 0

    def test_a_manager_without_the_mixin_tells_of_deletions_alone(self, events: CapturedEvents):
        Book.plain.bulk_create([Book(title="Unseen")])
        Book.plain.update(pages=3)
        assert told(events) == []
        Book.plain.all().delete()
        assert told(events) == [("deleted", "Unseen")]

    def test_a_deletion_stays_before_what_a_receiver_does_after_it(self, events: CapturedEvents):
        def put_back(instance: Book, **_: object) -> None:
            Book.objects.create(pk=instance.pk, title="Back")

        book = Book.objects.create(title="One")
        events.clear()
        models.signals.post_delete.connect(put_back, sender=Book)
        try:
            Book.objects.filter(pk=book.pk).delete()
        finally:
            models.signals.post_delete.disconnect(put_back, sender=Book)
        assert told(events) == [("deleted", "One"), ("created", "Back")]

    def test_a_hook_prepares_for_all_at_once(self, events: CapturedEvents):
        prepared: list[tuple[int, str]] = []

        class PreparingHook(LibraryHook):
            """Notes what it is asked to prepare for."""

            def prepare(self, instances: Any, action: Action) -> None:
                prepared.append((len(instances), action))

        with told_of(Ticket=PreparingHook):
            Ticket.objects.bulk_create(Ticket(seat=n) for n in range(5))
            Ticket.objects.update(guest="Ada")
        assert prepared == [(5, "created"), (5, "updated")]


class TestConflicts:
    """`bulk_create` where some rows are there already."""

    @pytest.fixture(autouse=True)
    def hook(self, events: CapturedEvents) -> Iterator[None]:
        with told_of(Book=BookHook, Ticket=LibraryHook, Chapter=LibraryHook):
            yield

    def test_rows_that_are_ignored_are_not_told_of(
        self, events: CapturedEvents, site_database: str
    ):
        Book.objects.create(title="There", isbn="1")
        events.clear()
        rows = [Book(title=f"New {n}", isbn=str(n)) for n in range(1, 6)]
        cost = queries(site_database, lambda: Book.objects.bulk_create(rows, ignore_conflicts=True))
        assert told(events) == [("created", f"New {n}") for n in range(2, 6)]
        assert cost == 1 + 2, "the rows are read back for their pks"
        pks = set(Book.objects.filter(title__startswith="New").values_list("pk", flat=True))
        assert {event.object for event in events} == {f"archive.book:{pk}" for pk in pks}

    def test_one_row_that_is_ignored_is_not_told_of(self, events: CapturedEvents):
        Book.objects.create(title="There", isbn="1")
        there = Ticket.objects.create(seat=1)
        events.clear()
        Book.objects.bulk_create([Book(title="New", isbn="1")], ignore_conflicts=True)
        Ticket.objects.bulk_create([Ticket(seat=1)], ignore_conflicts=True)
        Ticket.objects.bulk_create([Ticket(pk=there.pk, seat=2)], ignore_conflicts=True)
        assert list(events) == []

    def test_rows_that_are_updated_and_rows_that_are_new_are_told_apart(
        self, events: CapturedEvents, site_database: str
    ):
        Book.objects.create(title="There", isbn="1", shelf="kept", pages=1)
        events.clear()
        rows = [Book(title=f"Title {n}", isbn=str(n), pages=n) for n in (1, 2)]
        Book.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["isbn"], update_fields=["title"]
        )
        assert sorted((event.type, *event.data.values()) for event in events) == [
            ("book.created", "Title 2", 2, ""),
            ("book.updated", "Title 1", 1, "kept"),
        ]

    def test_an_objects_pk_need_not_be_its_rows(self, events: CapturedEvents):
        there = Ticket.objects.create(seat=1, guest="Ada")
        events.clear()
        Ticket.objects.bulk_create(
            [Ticket(seat=1, guest="Bo"), Ticket(seat=2, guest="Cy")],
            update_conflicts=True,
            unique_fields=["seat"],
            update_fields=["guest"],
        )
        new = Ticket.objects.get(seat=2)
        assert {(event.type, event.object) for event in events} == {
            ("ticket.updated", f"archive.ticket:{there.pk}"),
            ("ticket.created", f"archive.ticket:{new.pk}"),
        }

    def test_columns_that_are_unique_together(self, events: CapturedEvents):
        books = [Book.objects.create(title=title) for title in "AB"]
        Chapter.objects.create(book=books[0], number=1)
        events.clear()
        Chapter.objects.bulk_create(
            [Chapter(book=book, number=n) for book in books for n in (1, 2)],
            update_conflicts=True,
            unique_fields=["book", "number"],
            update_fields=["number"],
        )
        assert sorted(events.types) == [*["chapter.created"] * 3, "chapter.updated"]

    def test_many_rows_with_conflicts_cost_a_constant_number_for_each_of_the_databases_batches(
        self, events: CapturedEvents, site_database: str
    ):
        def write(rows: int) -> int:
            tickets = [Ticket(seat=n) for n in range(rows)]
            return queries(
                site_database,
                lambda: Ticket.objects.bulk_create(
                    tickets,
                    update_conflicts=True,
                    unique_fields=["seat"],
                    update_fields=["guest"],
                ),
            )

        assert write(2) == write(200) == 1 + 3, "which are there; read back; the outbox"
        assert len(events) == 202


@pytest.mark.usefixtures("book_hook")
class TestManyToMany:
    """Relations, changed at either end."""

    @pytest.fixture
    def book(self, events: CapturedEvents) -> Book:
        book = Book.objects.create(title="One")
        events.clear()
        return book

    @pytest.fixture
    def tags(self, events: CapturedEvents) -> list[Tag]:
        return [Tag.objects.create(word=word) for word in ("red", "green", "blue")]

    def test_adding_removing_setting_and_clearing(
        self, events: CapturedEvents, book: Book, tags: list[Tag]
    ):
        red, green, blue = (tag.pk for tag in tags)
        book.tags.add(*tags[:2])
        book.tags.add(tags[0])
        book.tags.remove(tags[0])
        book.tags.set([tags[2]])
        book.tags.clear()
        book.tags.clear()
        book.tags.create(word="grey")
        grey = Tag.objects.get(word="grey").pk
        assert [(event.type, event.data["pks"]) for event in events] == [
            ("book.tags.added", sorted([red, green])),
            ("book.tags.removed", [red]),
            ("book.tags.removed", [green]),
            ("book.tags.added", [blue]),
            ("book.tags.removed", [blue]),
            ("book.tags.added", [grey]),
        ]
        assert {event.object for event in events} == {f"archive.book:{book.pk}"}
        assert {event.data["title"] for event in events} == {"One"}

    def test_the_other_end_changes_the_same_relation(
        self, events: CapturedEvents, book: Book, tags: list[Tag], site_database: str
    ):
        other = Book.objects.create(title="Two")
        events.clear()
        tags[0].books.add(book, other)
        tags[0].books.remove(other)
        tags[0].books.clear()
        red = tags[0].pk
        assert [(event.type, event.data["title"], event.data["pks"]) for event in events] == [
            ("book.tags.added", "One", [red]),
            ("book.tags.added", "Two", [red]),
            ("book.tags.removed", "Two", [red]),
            ("book.tags.removed", "One", [red]),
        ]

    def test_a_change_of_many_costs_two_more_queries(
        self, events: CapturedEvents, tags: list[Tag], site_database: str
    ):
        with hooks_disabled():
            books = Book.objects.bulk_create(Book(title=str(n)) for n in range(100))
            without = queries(site_database, lambda: tags[0].books.add(*books))
        assert queries(site_database, lambda: tags[1].books.add(*books)) == without + 2
        assert len(events) == 100

    def test_a_hook_at_the_other_end_hears_of_it_by_its_own_name(
        self, events: CapturedEvents, book: Book, tags: list[Tag]
    ):
        class TagHook(LibraryHook):
            """Tells of what a tag is put on."""

            actions = ("books.added", "books.removed")

        with told_of(Tag=TagHook):
            book.tags.add(tags[0])
            tags[0].books.clear()
        assert [(event.type, event.data["pks"]) for event in events] == [
            ("book.tags.added", [tags[0].pk]),
            ("tag.books.added", [book.pk]),
            ("book.tags.removed", [tags[0].pk]),
            ("tag.books.removed", [book.pk]),
        ]

    def test_a_relation_by_a_model_of_its_own(self, events: CapturedEvents, book: Book):
        ada = Person.objects.create(name="Ada")
        book.readers.add(ada, through_defaults={"days": 3})
        book.readers.clear()
        with told_of(Loan=LibraryHook):
            Loan.objects.create(book=book, person=ada)
        assert events.types == ["book.readers.added", "book.readers.removed", "loan.created"]

    def test_friends_are_friends_of_each_other_and_followers_are_not(self, events: CapturedEvents):
        class PersonHook(LibraryHook):
            """Tells of who is whose friend and follower."""

            actions = (
                *("friends.added", "friends.removed", "follows.added", "followers.added"),
                *("follows.removed", "followers.removed"),
            )

        ada, bo = (Person.objects.create(name=name) for name in ("Ada", "Bo"))
        with told_of(Person=PersonHook):
            ada.friends.add(bo)
            bo.friends.clear()
            ada.follows.add(bo)
            bo.followers.remove(ada)
        assert [(event.type, event.data["name"], event.data["pks"]) for event in events] == [
            ("person.friends.added", "Ada", [bo.pk]),
            ("person.friends.added", "Bo", [ada.pk]),
            ("person.friends.removed", "Bo", [ada.pk]),
            ("person.friends.removed", "Ada", [bo.pk]),
            ("person.follows.added", "Ada", [bo.pk]),
            ("person.followers.added", "Bo", [ada.pk]),
            ("person.follows.removed", "Ada", [bo.pk]),
            ("person.followers.removed", "Bo", [ada.pk]),
        ]

    def test_a_rolled_back_change_tells_nothing(
        self, events: CapturedEvents, book: Book, tags: list[Tag]
    ):
        with pytest.raises(RuntimeError), transaction.atomic(using=Book.objects.db):
            book.tags.set(tags)
            raise RuntimeError
        assert list(events) == []

    def test_too_many_to_name_are_not_named(
        self, events: CapturedEvents, book: Book, monkeypatch: pytest.MonkeyPatch, tags: list[Tag]
    ):
        monkeypatch.setattr("django_hooks.registry.PKS_TOLD", 2)
        book.tags.set(tags)
        assert [event.data["pks"] for event in events] == [None]


class TestInheritance:
    """Proxies, and children with a table of their own."""

    def test_a_proxys_writes_are_the_models(self, events: CapturedEvents):
        with told_of(Book=BookHook):
            paperback = Paperback.objects.create(title="One")
            paperback.save()
            Paperback.objects.update(pages=1)
            Paperback.objects.bulk_create([Paperback(title="Two")])
            Paperback.objects.filter(title="Two").delete()
            paperback.delete()
        assert events.types == [
            *("book.created", "book.updated", "book.updated", "book.created"),
            *("book.deleted", "book.deleted"),
        ]
        assert {event.object for event in events.of("book.updated")} == {
            event.object for event in events
        } - {events.of("book.created")[1].object}

    def test_a_proxys_own_hook_hears_only_of_the_proxy(self, events: CapturedEvents):
        with told_of(Paperback=BookHook):
            Book.objects.create(title="One").delete()
            Paperback.objects.create(title="Two").delete()
        assert events.types == ["paperback.created", "paperback.deleted"]

    def test_a_child_is_an_instance_of_its_parent(self, events: CapturedEvents, site_database: str):
        with told_of(Book=BookHook, Atlas=LibraryHook):
            atlas = Atlas.objects.create(title="The world")
            assert events.types == ["atlas.created", "book.created"]
            assert [event.object for event in events] == [
                f"archive.atlas:{atlas.pk}",
                f"archive.book:{atlas.pk}",
            ]
            events.clear()
            Atlas.objects.update(title="The moon", scale=5)
            assert events.types == ["atlas.updated", "book.updated"]
            assert events[1].data["title"] == "The moon"
            events.clear()
            atlas.delete()
            assert sorted(events.types) == ["atlas.deleted", "book.deleted"]

    def test_both_events_of_a_child_cost_one_query(
        self, events: CapturedEvents, site_database: str
    ):
        atlas = Atlas.objects.create(title="The world")
        without = queries(site_database, atlas.save)
        with told_of(Book=BookHook, Atlas=LibraryHook):
            assert queries(site_database, atlas.save) == without + 1

    def test_a_parents_hook_hears_of_children_that_have_none(self, events: CapturedEvents):
        with told_of(Book=BookHook):
            Atlas.objects.create(title="The world").delete()
        assert events.types == ["book.created", "book.deleted"]
        Atlas.objects.create(title="The moon")
        assert len(events) == 2


@pytest.mark.usefixtures("book_hook")
class TestDisabled:
    """`hooks_disabled()`."""

    def test_nothing_is_told_within_the_block(self, events: CapturedEvents):
        with hooks_disabled():
            book = Book.objects.create(title="One")
            with hooks_disabled():
                book.save()
            Book.objects.bulk_create([Book(title="Two")])
            Book.objects.update(pages=1)
            book.tags.create(word="red")
            book.tags.clear()
            Book.objects.all().delete()
        assert list(events) == []
        Book.objects.create(title="Three")
        assert told(events) == [("created", "Three")]

    def test_an_exception_ends_the_block(self, events: CapturedEvents):
        with pytest.raises(RuntimeError), hooks_disabled():
            raise RuntimeError
        Book.objects.create(title="One")
        assert told(events) == [("created", "One")]

    def test_it_decorates_functions_of_both_kinds(self, events: CapturedEvents):
        @hooks_disabled()
        def write(title: str) -> Book:
            return Book.objects.create(title=title)

        @hooks_disabled()
        async def write_later(title: str) -> Book:
            await asyncio.sleep(0)
            return await Book.objects.acreate(title=title)

        assert write("One").title == "One"
        assert asyncio.run(write_later("Two")).title == "Two"
        assert list(events) == []

    def test_other_threads_go_on_telling(self, events: CapturedEvents):
        done = threading.Event()

        def write() -> None:
            Book.objects.create(title="By another")
            connections.close_all()
            done.set()

        with hooks_disabled():
            thread = threading.Thread(target=write)
            thread.start()
            wait_until(done.is_set, 60, "the other thread has written")
            thread.join()
        assert told(events) == [("created", "By another")]

    def test_other_tasks_go_on_telling(self, events: CapturedEvents):
        async def write() -> None:
            switched_off = asyncio.Event()

            async def silent() -> None:
                with hooks_disabled():
                    switched_off.set()
                    await Book.objects.acreate(title="Silent")

            async def heard() -> None:
                await switched_off.wait()
                await Book.objects.acreate(title="Heard")

            await asyncio.gather(silent(), heard())

        asyncio.run(write())
        assert told(events) == [("created", "Heard")]
