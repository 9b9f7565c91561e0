"""What a save or delete writes to the outbox."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import serializers
from django.db import connection, transaction
from django.db import connections as connections_of_django
from django.utils import timezone
from pytest_django import Settings

from django_hooks import connections, outbox_writer, wake
from django_hooks.models import OutboxRow
from django_hooks.registry import registry
from example_site.threads.models import Comment, Thread
from example_site.threads.push import CommentHook
from pushgate import Event, InvalidChannel, InvalidEvent, MemoryJobQueue

pytestmark = pytest.mark.django_db


@pytest.fixture
def thread() -> Thread:
    return Thread.objects.create(title="A thread")


def events() -> list[Event]:
    return [Event.from_json(row.event) for row in OutboxRow.objects.order_by("id")]


def queries(act: Callable[[], object]) -> list[str]:
    """The SQL that `act` sends to the database."""
    sent: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        act()
    return sent


def test_creating_editing_and_deleting_are_three_events_of_one_object(thread: Thread):
    comment = Comment.objects.create(thread=thread, author="Ada", text="Hello")
    comment.text = "Hello there"
    comment.save()
    pk = comment.pk
    comment.delete()
    assert [event.type for event in events()] == [
        "comment.created",
        "comment.updated",
        "comment.deleted",
    ]
    assert {event.object for event in events()} == {f"threads.comment:{pk}"}
    assert {event.channels for event in events()} == {(f"thread:{thread.pk}",)}
    assert [event.data["text"] for event in events()] == ["Hello", "Hello there", "Hello there"]
    assert [event.data["id"] for event in events()] == [pk] * 3
    assert {event.version for event in events()} == {0}, "the relay counts"


@pytest.mark.parametrize("action", ["create", "save", "delete"])
def test_an_event_costs_exactly_one_query(thread: Thread, action: str):
    existing = Comment.objects.create(thread=thread, author="Bo", text="There")
    acts: dict[str, Callable[[], object]] = {
        "create": lambda: Comment.objects.create(thread=thread, author="Ada", text="Hello"),
        "save": existing.save,
        "delete": lambda: Comment.objects.get(pk=existing.pk).delete(),
    }
    act = acts[action]
    told = queries(lambda: rolled_back(act))
    registry.unregister(Comment)
    try:
        silent = queries(lambda: rolled_back(act))
    finally:
        registry.register(Comment, CommentHook)
    assert [sql for sql in told if "django_hooks_outboxrow" in sql] != []
    assert len(told) == len(silent) + 1


def rolled_back(act: Callable[[], object]) -> None:
    """Runs it within a transaction that leaves nothing."""
    with transaction.atomic():
        act()
        transaction.set_rollback(True)


def test_a_rolled_back_comment_leaves_nothing(thread: Thread):
    with pytest.raises(RuntimeError), transaction.atomic():
        Comment.objects.create(thread=thread, author="Ada", text="Hello")
        raise RuntimeError
    assert events() == []


def test_a_rolled_back_savepoint_takes_its_events_alone(thread: Thread):
    with transaction.atomic():
        Comment.objects.create(thread=thread, author="Ada", text="kept")
        with pytest.raises(RuntimeError), transaction.atomic():
            Comment.objects.create(thread=thread, author="Ada", text="undone")
            raise RuntimeError
    assert [event.data["text"] for event in events()] == ["kept"]


def test_raw_saves_are_not_told_of(thread: Thread):
    comment = Comment(id=77, thread=thread, author="Ada", text="from a fixture")
    (loaded,) = serializers.deserialize("json", serializers.serialize("json", [comment]))
    loaded.save()
    assert Comment.objects.filter(pk=77).exists()
    assert events() == []


def test_a_deleted_thread_tells_of_each_comment_that_goes_with_it(thread: Thread):
    for number in range(3):
        Comment.objects.create(thread=thread, author="Ada", text=str(number))
    OutboxRow.objects.all().delete()
    thread_id = thread.pk
    thread.delete()
    assert sorted(event.data["text"] for event in events()) == ["0", "1", "2"]
    assert {event.channels for event in events()} == {(f"thread:{thread_id}",)}


class HookThatMay(CommentHook):
    """Makes of a comment what its text asks for."""

    def channels(self, instance: Comment, action: str) -> list[str]:
        return [] if instance.text == "quiet" else [instance.author]

    def data(self, instance: Comment, action: str) -> dict[str, object]:
        if instance.text == "broken":
            raise ZeroDivisionError
        return {"text": {1, 2} if instance.text == "set" else instance.text}


@pytest.fixture
def free_hook() -> Iterator[None]:
    registry.unregister(Comment)
    registry.register(Comment, HookThatMay)
    yield
    registry.unregister(Comment)
    registry.register(Comment, CommentHook)


@pytest.mark.parametrize(
    ("author", "text", "error"),
    [
        ("thread 42", "Hello", InvalidChannel),
        ("thread:42", "set", InvalidEvent),
        ("thread:42", "x" * 70_000, InvalidEvent),
        ("thread:42", "broken", ZeroDivisionError),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_what_a_hook_gets_wrong_is_raised_by_the_save_and_undoes_it(
    free_hook: None, author: str, text: str, error: type[Exception]
):
    thread = Thread.objects.create(title="A thread")
    with pytest.raises(error):
        Comment.objects.create(thread=thread, author=author, text=text)
    assert Comment.objects.count() == 0, "the row and its event stand or fall together"
    assert events() == []


def test_a_hook_may_tell_nobody(free_hook: None, thread: Thread):
    Comment.objects.create(thread=thread, author="thread:42", text="quiet")
    assert events() == []


class HookOfDeletions(CommentHook):
    """Tells of deletions alone."""

    actions = ("deleted",)


def test_a_hook_may_leave_actions_out(thread: Thread):
    registry.unregister(Comment)
    registry.register(Comment, HookOfDeletions)
    try:
        Comment.objects.create(thread=thread, author="Ada", text="Hello").delete()
    finally:
        registry.unregister(Comment)
        registry.register(Comment, CommentHook)
    assert [event.type for event in events()] == ["comment.deleted"]


class TestModeOnCommit:
    """Events that skip the outbox."""

    @pytest.fixture(autouse=True)
    def queue(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
        settings.PUSHGATE = {"MODE": "on_commit"}
        put: list[Event] = []

        class Queue(MemoryJobQueue):
            def put(self, event: Event) -> bool:
                put.append(event)
                return super().put(event)

        monkeypatch.setattr(connections, "job_queue", Queue)
        self.put = put
        return put

    @pytest.mark.django_db(transaction=True)
    def test_the_event_is_put_at_the_commit(self):
        thread = Thread.objects.create(title="A thread")
        with transaction.atomic():
            comment = Comment.objects.create(thread=thread, author="Ada", text="Hello")
            comment.save()
            assert self.put == []
        assert [event.type for event in self.put] == ["comment.created", "comment.updated"]
        assert 0 < self.put[0].version < self.put[1].version
        assert OutboxRow.objects.count() == 0

    @pytest.mark.django_db(transaction=True)
    def test_nothing_is_put_after_a_rollback(self):
        thread = Thread.objects.create(title="A thread")
        with pytest.raises(RuntimeError), transaction.atomic():
            Comment.objects.create(thread=thread, author="Ada", text="Hello")
            raise RuntimeError
        assert self.put == []


class HookWithEverything(CommentHook):
    """Says all that a hook may say."""

    def key(self, instance: Comment, action: str) -> str:
        return f"author:{instance.author}"

    def flags(self, instance: Comment, action: str) -> dict[str, bool]:
        return {"markdown": True, "beta": False}

    def correlation_id(self) -> str:
        return "request-17"

    def traceparent(self) -> str:
        return "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_key_flags_and_trace_travel_with_the_event(thread: Thread):
    registry.unregister(Comment)
    registry.register(Comment, HookWithEverything)
    try:
        Comment.objects.create(thread=thread, author="Ada", text="Hello")
    finally:
        registry.unregister(Comment)
        registry.register(Comment, CommentHook)
    (event,) = events()
    assert event.key == "author:Ada"
    assert event.flags == {"markdown": True, "beta": False}
    assert event.correlation_id == "request-17"
    assert event.traceparent == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_error_names_the_hook_the_object_and_the_rule(free_hook: None, thread: Thread):
    with pytest.raises(InvalidChannel) as refused, transaction.atomic():
        Comment.objects.create(pk=7, thread=thread, author="thread 42", text="Hello")
    assert str(refused.value).startswith(
        f"{HookThatMay.__module__}.HookThatMay, threads.comment:7 created: channel 'thread 42': "
    )


def test_each_column_of_the_outbox_is_written():
    columns = [field.column for field in OutboxRow._meta.local_concrete_fields]
    assert columns == ["id", *outbox_writer.COLUMNS]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", None])
def test_a_row_is_as_old_as_it_is(thread: Thread, settings: Settings, zone: str | None):
    """Whatever time zone the site, or its database, keeps its times in."""
    settings.USE_TZ = zone is not None
    settings.TIME_ZONE = zone or "Asia/Tokyo"
    connection.settings_dict["TIME_ZONE"] = zone
    vars(connections_of_django["default"]).pop("timezone", None)
    try:
        before = timezone.now()
        Comment.objects.create(thread=thread, author="Ada", text="Hello")
        Comment.objects.bulk_create([Comment(thread=thread, text=text) for text in "ab"])
        written = OutboxRow.objects.values_list("created_at", flat=True)
        assert len(written) == 3
        assert all(before <= created_at <= timezone.now() for created_at in written)
    finally:
        connection.settings_dict["TIME_ZONE"] = None
        vars(connections_of_django["default"]).pop("timezone", None)


@pytest.mark.django_db(transaction=True)
def test_many_saves_in_one_transaction_nudge_once(monkeypatch: pytest.MonkeyPatch):
    nudged: list[int] = []

    def nudge() -> None:
        nudged.append(1)

    monkeypatch.setattr(wake, "nudge", nudge)
    thread = Thread.objects.create(title="A thread")
    with transaction.atomic():
        Comment.objects.create(thread=thread, text="one")
        with pytest.raises(RuntimeError), transaction.atomic():
            Comment.objects.create(thread=thread, text="undone")
            raise RuntimeError
        Comment.objects.create(thread=thread, text="two")
    assert len(nudged) == 1
    with transaction.atomic():
        with pytest.raises(RuntimeError), transaction.atomic():
            Comment.objects.create(thread=thread, text="undone")
            raise RuntimeError
        Comment.objects.create(thread=thread, text="three")
    assert len(nudged) == 2


@pytest.mark.django_db(transaction=True)
def test_who_catches_a_refused_event_within_a_transaction_keeps_nothing_of_it(free_hook: None):
    thread = Thread.objects.create(title="A thread")
    with transaction.atomic(), pytest.raises(InvalidChannel):
        Comment.objects.create(thread=thread, author="thread 42", text="Hello")
    assert Comment.objects.count() == 0
