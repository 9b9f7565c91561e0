"""push_replay: rows told of anew, on SQLite and PostgreSQL."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_hooks.management.commands import push_replay
from django_hooks.models import OutboxRow
from django_hooks.recorder import record
from example_site.threads.models import Comment, Thread
from pushgate import Event

pytestmark = pytest.mark.real_redis


@pytest.fixture
def comments(site_database: str, push_settings: dict[str, Any]) -> list[Comment]:
    """Seven comments, each an hour older than the next; nobody was told of them."""
    thread = Thread.objects.create(title="A thread")
    now = timezone.now()
    Comment.objects.bulk_create(
        Comment(thread=thread, author="Ada", text=str(n), created_at=now - timedelta(hours=7 - n))
        for n in range(7)
    )
    OutboxRow.objects.all().delete()
    return list(Comment.objects.order_by("pk"))


def replay(alias: str, *words: str, model: str = "threads.Comment") -> str:
    output = io.StringIO()
    call_command("push_replay", model, "--database", alias, *words, stdout=output)
    return output.getvalue()


def told() -> list[Event]:
    return [Event.from_json(row.event) for row in OutboxRow.objects.order_by("id")]


def test_every_row_is_told_of_in_order_as_it_is_now(
    comments: list[Comment], site_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_replay, "BATCH_ROWS", 3)
    assert "Told of 7 rows of threads.Comment." in replay(site_database)
    assert [event.data["id"] for event in told()] == [comment.pk for comment in comments]
    assert {event.type for event in told()} == {"comment.updated"}
    assert told()[3].object == f"threads.comment:{comments[3].pk}"


def test_a_dry_run_counts_and_tells_nobody(comments: list[Comment], site_database: str) -> None:
    assert "Would tell of 7 rows" in replay(site_database, "--dry-run")
    assert told() == []


@pytest.mark.parametrize("absolute", [False, True])
def test_rows_since_a_moment(comments: list[Comment], site_database: str, absolute: bool) -> None:
    since = str(timezone.now() - timedelta(minutes=210)) if absolute else "210m"
    said = replay(site_database, "--since", since, "--field", "created_at")
    assert "Told of 3 rows" in said
    assert [event.data["text"] for event in told()] == ["4", "5", "6"]


def test_rows_behind_one_that_was_told_of(comments: list[Comment], site_database: str) -> None:
    assert "Told of 2 rows" in replay(site_database, "--after", str(comments[4].pk))


def test_a_stop_keeps_whole_batches_and_says_how_to_go_on(
    comments: list[Comment],
    site_database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(push_replay, "BATCH_ROWS", 3)

    def stop_at_five(events: list[Event], using: str) -> None:
        record(events, using)
        if "5" in [event.data["text"] for event in events]:
            raise KeyboardInterrupt

    monkeypatch.setattr(push_replay, "record", stop_at_five)
    with pytest.raises(KeyboardInterrupt):
        replay(site_database)
    assert len(told()) == 3
    stopped = capsys.readouterr().err
    assert f"Stopped after 3 rows; go on with --after {comments[2].pk}" in stopped


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--since", "2h"), "Which time of threads.Comment says so.*created_at, edited_at"),
        (("--since", "2h", "--field", "author"), "no date and time called 'author'"),
        (("--since", "soon", "--field", "created_at"), "--since 'soon'"),
        (("--since", "2026-02-31", "--field", "created_at"), "--since '2026-02-31'"),
        (("--field", "created_at"), "without --since"),
        (("--after", "x"), "no primary key"),
    ],
)
def test_what_cannot_be_understood_is_refused(
    comments: list[Comment], site_database: str, words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        replay(site_database, *words)
    assert told() == []


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("threads.Thread", "threads.Thread has no hook"),
        ("threads.Nothing", "no model 'threads.Nothing'"),
        ("nothing", "no model 'nothing'"),
    ],
)
def test_a_model_that_nobody_is_told_of_is_refused(
    site_database: str, push_settings: dict[str, Any], model: str, sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        replay(site_database, model=model)
