"""Triggers on a real PostgreSQL: every way to write is told, once, as the hook would tell it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections, models, transaction
from pytest_django import Settings

from django_hooks import wake
from django_hooks.models import OutboxRow
from django_hooks.registry import ModelHook, registry
from django_hooks.trigger_checks import check_triggers
from django_hooks.trigger_hook import TriggerHook
from django_hooks.triggers import Triggers, triggers_silent
from example_site.threads.models import Comment, Thread
from example_site.threads.push import CommentHook
from pushgate import Event

on_postgresql = pytest.mark.parametrize("site_database", ["postgresql"], indirect=True)
TABLE = Comment._meta.db_table


class CommentTriggerHook(TriggerHook[Comment]):
    """What the example site tells of a comment, as a declaration."""

    channel_formats = ("thread:{thread_id}",)
    data_fields = {"id": "pk", "thread": "thread", "author": "author", "text": "text"}


class Everything(models.Model):
    """A field of each kind that has a form in JSON."""

    truth = models.BooleanField(null=True)
    share = models.FloatField()
    price = models.DecimalField(max_digits=8, decimal_places=2)
    anything = models.JSONField()
    small = models.SmallIntegerField()
    unique = models.UUIDField()
    moment = models.DateTimeField()
    day = models.DateField()
    hour = models.TimeField()
    span = models.DurationField()
    word = models.CharField(max_length=80)
    address = models.GenericIPAddressField()

    class Meta:
        app_label = "threads"
        managed = False


class EverythingHook(TriggerHook[Everything]):
    """All of it, and a key."""

    channel_formats = ("all:{small}", "one:{unique}", "all:{small}")
    key_format = "each:{word}"
    data_fields = (
        *("id", "truth", "share", "price", "anything", "small", "unique", "moment", "day"),
        *("hour", "span", "word", "address"),
    )


@pytest.fixture
def comments_by_trigger(site_database: str, push_settings: dict[str, Any]) -> Iterator[str]:
    """The alias of a database where comments are told by a `TriggerHook`."""
    registry.unregister(Comment)
    registry.register(Comment, CommentTriggerHook)
    try:
        if connections[site_database].vendor == "postgresql":
            Triggers(site_database, registry).install()
        yield site_database
    finally:
        registry.unregister(Comment)
        registry.register(Comment, CommentHook)


def told() -> list[Event]:
    return [Event.from_json(row.event) for row in OutboxRow.objects.order_by("id")]


def stories() -> list[tuple[str, str]]:
    return [(event.type, event.data["text"]) for event in told()]


def run(alias: str, *statements: str) -> None:
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def comment(text: str = "Hello", **fields: Any) -> Comment:
    thread, _ = Thread.objects.get_or_create(title="A thread")
    return Comment(thread=thread, author="Ada", text=text, **fields)


@on_postgresql
def test_bulk_writes_leave_the_telling_to_the_triggers(
    comments_by_trigger: str, monkeypatch: pytest.MonkeyPatch
):
    sent: list[str] = []
    nudged: list[bool] = []

    def note(execute: Any, sql: str, *arguments: Any) -> Any:
        sent.append(sql)
        return execute(sql, *arguments)

    monkeypatch.setattr(wake, "nudge", lambda: nudged.append(True))
    comments = [comment(text) for text in "ab"]
    with connections[comments_by_trigger].execute_wrapper(note):
        Comment.objects.bulk_create(comments)
        Comment.objects.update(text="c")
    assert len(sent) == len(nudged) == 2
    assert stories() == [
        ("comment.created", "a"),
        ("comment.created", "b"),
        *[("comment.updated", "c")] * 2,
    ]


def test_django_tells_once_on_either_database(comments_by_trigger: str):
    one = comment()
    one.save()
    one.text = 'Hello "there" \\ \x01 \N{SNOWMAN}'
    one.save()
    pk = one.pk
    one.delete()
    events = told()
    assert [event.type for event in events] == [
        "comment.created",
        "comment.updated",
        "comment.deleted",
    ]
    assert {event.object for event in events} == {f"threads.comment:{pk}"}
    assert {event.channels for event in events} == {(f"thread:{one.thread_id}",)}
    assert {event.key for event in events} == {f"thread:{one.thread_id}"}
    assert {event.version for event in events} == {0}, "the relay counts"
    assert events[1].data == {
        "id": pk,
        "thread": one.thread_id,
        "author": "Ada",
        "text": 'Hello "there" \\ \x01 \N{SNOWMAN}',
    }
    assert len({event.id for event in events}) == 3


def test_the_event_is_the_same_on_either_database(site_database: str):
    connection = connections[site_database]
    with connection.schema_editor() as editor:
        editor.create_model(Everything)
    registry.register(Everything, EverythingHook)
    try:
        if connection.vendor == "postgresql":
            Triggers(site_database, registry).install()
        Everything._default_manager.create(
            truth=None,
            share=0.25,
            price=Decimal("12.50"),
            anything={"a": [1, None, "ü"], "b": {}},
            small=-7,
            unique=UUID(int=7),
            moment=datetime(2026, 1, 31, 12, 0, 0, 120, tzinfo=UTC),
            day=date(2026, 1, 31),
            hour=time(23, 59),
            span=timedelta(days=1, milliseconds=1500),
            word="It's 5 % or so",
            address="10.0.0.1",
        )
    finally:
        registry.unregister(Everything)
    (event,) = told()
    assert event.type == "everything.created"
    assert event.channels == ("all:-7", f"one:{UUID(int=7)}")
    assert event.key == "each:It's 5 % or so"
    assert event.object == f"threads.everything:{event.data['id']}"
    assert {name: value for name, value in event.data.items() if name != "id"} == {
        "truth": None,
        "share": 0.25,
        "price": 12.5,
        "anything": {"a": [1, None, "ü"], "b": {}},
        "small": -7,
        "unique": str(UUID(int=7)),
        "moment": "2026-01-31T12:00:00.000120+00:00",
        "day": "2026-01-31",
        "hour": "23:59:00.000000",
        "span": 86401.5,
        "word": "It's 5 % or so",
        "address": "10.0.0.1",
    }


@on_postgresql
class TestEveryWrite:
    """Whoever writes, the triggers tell."""

    def test_bulk_operations_without_a_queryset_of_ours(self, comments_by_trigger: str):
        comments: models.QuerySet[Comment] = models.QuerySet(Comment)
        made = comments.bulk_create([comment(str(number)) for number in range(3)])
        comments.filter(text="1").update(text="one")
        made[2].text = "two"
        comments.bulk_update(made[2:], ["text"])
        comments.filter(text="0").delete()
        assert stories() == [
            ("comment.created", "0"),
            ("comment.created", "1"),
            ("comment.created", "2"),
            ("comment.updated", "one"),
            ("comment.updated", "two"),
            ("comment.deleted", "0"),
        ]

    def test_raw_sql_and_its_rollback(self, comments_by_trigger: str):
        comment("first").save()
        run(comments_by_trigger, f"UPDATE {TABLE} SET text = 'by hand'")
        with pytest.raises(RuntimeError), transaction.atomic(using=comments_by_trigger):
            run(comments_by_trigger, f"UPDATE {TABLE} SET text = 'undone'")
            raise RuntimeError
        run(
            comments_by_trigger,
            f"""INSERT INTO {TABLE} (id, thread_id, author, text, created_at)
                SELECT id, thread_id, author, 'upserted', created_at FROM {TABLE}
                ON CONFLICT (id) DO UPDATE SET text = excluded.text""",
        )
        assert [text for _, text in stories()] == ["first", "by hand", "upserted"]
        assert stories()[-1][0] == "comment.updated"

    def test_copy(self, comments_by_trigger: str):
        thread = Thread.objects.create(title="A thread")
        with (
            connections[comments_by_trigger].cursor() as cursor,
            cursor.copy(f"COPY {TABLE} (thread_id, author, text, created_at) FROM STDIN") as copy,
        ):
            for number in range(200):
                copy.write_row((thread.pk, "Ada", str(number), datetime.now(UTC)))
        assert [text for _, text in stories()] == [str(number) for number in range(200)]

    def test_truncate_tells_of_every_row_that_goes(self, comments_by_trigger: str):
        for number in range(3):
            comment(str(number)).save()
        run(comments_by_trigger, f"TRUNCATE {Thread._meta.db_table} CASCADE")
        assert stories()[3:] == [("comment.deleted", str(number)) for number in range(3)]

    def test_a_cascade_of_the_database(self, comments_by_trigger: str):
        run(
            comments_by_trigger,
            f"ALTER TABLE {TABLE} ADD FOREIGN KEY (thread_id) "
            f"REFERENCES {Thread._meta.db_table} ON DELETE CASCADE",
        )
        one = comment()
        one.save()
        run(
            comments_by_trigger,
            "SET CONSTRAINTS ALL IMMEDIATE",
            f"DELETE FROM {TABLE} WHERE id = {one.pk}",
        )
        assert stories()[-1] == ("comment.deleted", "Hello")

    def test_nothing_is_told_where_the_block_is_silent(self, comments_by_trigger: str):
        with triggers_silent(comments_by_trigger):
            comment("unheard").save()
        comment("heard").save()
        assert stories() == [("comment.created", "heard")]

    def test_a_save_costs_no_query_more(self, comments_by_trigger: str):
        one = comment()
        sent: list[str] = []

        def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            sent.append(sql)
            return execute(sql, params, many, context)

        with connections[comments_by_trigger].execute_wrapper(note):
            one.save()
        assert [sql.split()[0] for sql in sent] == ["INSERT"]
        assert len(told()) == 1

    def test_what_is_no_event_undoes_the_write(self, comments_by_trigger: str):
        with pytest.raises(DatabaseError, match="the data of threads.comment:"):
            comment("x" * 70_000).save()
        assert not Comment.objects.exists()

    def test_only_the_actions_of_the_hook_are_told(self, comments_by_trigger: str):
        class CreatedOnly(CommentTriggerHook):
            actions = ("created",)

        registry.unregister(Comment)
        registry.register(Comment, CreatedOnly)
        Triggers(comments_by_trigger, registry).install()
        one = comment("made")
        one.save()
        one.save()
        run(comments_by_trigger, f"TRUNCATE {TABLE}")
        assert stories() == [("comment.created", "made")]

    def test_an_update_of_no_watched_column_is_not_told(self, comments_by_trigger: str):
        class Watched(CommentTriggerHook):
            watched_fields = ("text",)

        registry.unregister(Comment)
        registry.register(Comment, Watched)
        Triggers(comments_by_trigger, registry).install()
        comment("made").save()
        run(comments_by_trigger, f"UPDATE {TABLE} SET author = 'Bo'")
        run(comments_by_trigger, f"UPDATE {TABLE} SET text = text")
        run(comments_by_trigger, f"UPDATE {TABLE} SET text = 'changed'")
        assert stories() == [("comment.created", "made"), ("comment.updated", "changed")]


@on_postgresql
class TestDrift:
    """`push_triggers` says what is not as the hooks say it, and puts it right."""

    def check(self, alias: str) -> tuple[int, str]:
        out = StringIO()
        try:
            call_command("push_triggers", "--check", database=alias, stdout=out)
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue()
        return 0, out.getvalue()

    def test_nothing_differs_after_installing(self, comments_by_trigger: str):
        assert self.check(comments_by_trigger) == (0, "")
        out = StringIO()
        call_command("push_triggers", database=comments_by_trigger, stdout=out)
        assert "all triggers are as they should be" in out.getvalue()

    @pytest.mark.parametrize(
        ("spoil", "line"),
        [
            (
                f"DROP TRIGGER pushgate_rows ON {TABLE}",
                f"trigger pushgate_rows on public.{TABLE}: missing",
            ),
            (
                f"ALTER TABLE {TABLE} DISABLE TRIGGER pushgate_rows",
                f"trigger pushgate_rows on public.{TABLE}: disabled",
            ),
            (
                f"DROP FUNCTION pushgate_tell_{TABLE}() CASCADE",
                f"function pushgate_tell_{TABLE}: missing",
            ),
            (
                f"CREATE OR REPLACE FUNCTION pushgate_tell_{TABLE}() RETURNS trigger "
                "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
                f"function pushgate_tell_{TABLE}: outdated",
            ),
            (
                "CREATE FUNCTION pushgate_tell_other() RETURNS trigger "
                "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
                "function pushgate_tell_other: orphaned",
            ),
        ],
    )
    def test_what_differs_is_named_and_put_right(
        self, comments_by_trigger: str, spoil: str, line: str
    ):
        run(comments_by_trigger, spoil)
        status, output = self.check(comments_by_trigger)
        assert status == 1
        assert line in output
        call_command("push_triggers", database=comments_by_trigger, stdout=StringIO())
        assert self.check(comments_by_trigger) == (0, "")
        comment("told").save()
        assert stories() == [("comment.created", "told")]

    def test_the_triggers_of_a_hook_that_is_gone_are_orphans(self, comments_by_trigger: str):
        registry.unregister(Comment)
        try:
            status, output = self.check(comments_by_trigger)
            assert status == 1
            assert output.count("orphaned") == 4, output
            call_command("push_triggers", database=comments_by_trigger, stdout=StringIO())
            assert self.check(comments_by_trigger) == (0, "")
        finally:
            registry.register(Comment, CommentTriggerHook)

    def test_removing_removes_all_of_them(self, comments_by_trigger: str):
        call_command("push_triggers", "--remove", database=comments_by_trigger, stdout=StringIO())
        assert "missing" in self.check(comments_by_trigger)[1]
        run(comments_by_trigger, f"DELETE FROM {TABLE}")

    def test_what_is_printed_installs(self, comments_by_trigger: str):
        out = StringIO()
        call_command("push_triggers", "--print", database=comments_by_trigger, stdout=out)
        Triggers(comments_by_trigger, registry).remove()
        run(comments_by_trigger, out.getvalue())
        assert self.check(comments_by_trigger) == (0, "")

    def test_a_system_check_warns(self, comments_by_trigger: str):
        assert check_triggers(databases=[comments_by_trigger]) == []
        run(comments_by_trigger, f"DROP TRIGGER pushgate_truncate ON {TABLE}")
        (warning,) = check_triggers(databases=[comments_by_trigger])
        assert warning.id == "django_hooks.W101"
        assert f"pushgate_truncate on public.{TABLE}: missing" in warning.msg

    def test_a_system_check_warns_of_a_mode_triggers_do_not_know(
        self, comments_by_trigger: str, settings: Settings, push_settings: dict[str, Any]
    ):
        settings.PUSHGATE = {**push_settings, "MODE": "on_commit"}
        (warning,) = check_triggers(databases=[comments_by_trigger])
        assert warning.id == "django_hooks.W102"

    def test_migrate_installs_them(self, comments_by_trigger: str):
        Triggers(comments_by_trigger, registry).remove()
        call_command("migrate", database=comments_by_trigger, verbosity=0)
        assert self.check(comments_by_trigger) == (0, "")


@pytest.mark.parametrize("site_database", ["sqlite"], indirect=True)
def test_other_databases_have_no_triggers(site_database: str):
    with pytest.raises(CommandError, match="is no PostgreSQL"):
        call_command("push_triggers", database=site_database)


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ({"channel_formats": ()}, "give 1 to 16"),
        ({"channel_formats": ("thread:{nothing}",)}, "'nothing' is no field"),
        ({"channel_formats": ("thread:{created_at}",)}, "text, whole numbers or UUIDs"),
        ({"channel_formats": ("thread:{thread_id!r}",)}, "text, whole numbers or UUIDs"),
        ({"data_fields": ("thread__title",)}, "'thread__title' is no field"),
        ({"data_fields": {"version": "id"}}, "version is the frame's own"),
        ({"flags": lambda self, instance, action: {}}, "flags\\(\\) is Python"),
        ({"data": lambda self, instance, action: {}}, "data\\(\\) is Python"),
    ],
)
def test_a_declaration_that_no_trigger_can_carry_out_is_refused(
    declared: dict[str, Any], sentence: str
):
    hook_class: type[ModelHook[Any]] = type("Wrong", (CommentTriggerHook,), declared)
    with pytest.raises(ImproperlyConfigured, match=sentence):
        hook_class(Comment)
