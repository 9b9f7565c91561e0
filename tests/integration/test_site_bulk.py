"""Bulk writes of the example site's API beside others at the same time, on each database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client
from pytest_django import Settings

from django_hooks.models import OutboxRow
from example_site.threads.models import Comment, Thread
from pushgate import Event
from stack.process import wait_until
from tests.integration.test_hooks_writers_at_once import in_a_thread, somebody_waits


@pytest.fixture
def default_database(
    site_database: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The test's database as a site has it: its only one."""
    settings.DATABASE_ROUTERS = []
    usual = connections["default"]
    monkeypatch.setitem(connections.settings, "default", connections.settings[site_database])
    connections["default"] = connections.create_connection("default")
    yield "default"
    connections["default"].close()
    connections["default"] = usual


@pytest.fixture
def thread(default_database: str) -> Thread:
    return Thread.objects.create(title="A thread")


def call(thread: Thread, method: str, body: Any) -> tuple[int, Any]:
    path = f"/api/threads/{thread.pk}/comments/"
    content = json.dumps(body).encode()
    answer: Any = Client().generic(method, path, content, "application/json")
    return answer.status_code, json.loads(answer.content or b"null")


def add(thread: Thread, count: int) -> list[int]:
    comments = [{"author": "Ada", "text": str(number)} for number in range(count)]
    status, answer = call(thread, "POST", {"comments": comments})
    assert status == 201
    ids: list[int] = answer["ids"]
    return ids


def told() -> list[tuple[str, Any]]:
    events = [Event.from_json(row.event) for row in OutboxRow.objects.order_by("id")]
    return [(event.type.removeprefix("comment."), event.data["id"]) for event in events]


def test_each_row_of_a_bulk_write_is_told_and_none_of_a_refused_one(thread: Thread):
    ids = add(thread, 4)
    edits = [{"id": pk, "text": "new"} for pk in reversed(ids)]
    assert call(thread, "PATCH", {"comments": edits}) == (200, {"ids": ids})
    missing = ids[-1] + 1
    refused = {"error": f"There is no comment {missing} in thread {thread.pk}."}
    late = [*edits, {"id": missing, "text": "new"}]
    assert call(thread, "PATCH", {"comments": late}) == (404, refused)
    assert call(thread, "DELETE", {"ids": [missing, *ids]}) == (404, refused)
    assert thread.comments.filter(text="new").count() == 4
    assert call(thread, "DELETE", {"ids": ids[:2]}) == (204, None)
    *others, first, second = told()
    assert others == [(did, pk) for did in ("created", "updated") for pk in ids]
    assert {first, second} == {("deleted", pk) for pk in ids[:2]}


@pytest.mark.parametrize("site_database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_bulk_write_waits_for_the_lowest_id_before_it_locks_another(
    thread: Thread, default_database: str, method: str
):
    """One who holds the lowest and then asks for the highest would otherwise be in its way."""
    ids = add(thread, 3)
    body: dict[str, Any] = {"ids": ids[::-1]}
    if method == "PATCH":
        body = {"comments": [{"id": pk, "text": "bulk"} for pk in ids[::-1]]}
    answers: list[int] = []
    with transaction.atomic():
        Comment.objects.select_for_update().get(pk=ids[0])
        other = in_a_thread(lambda: answers.append(call(thread, method, body)[0]))
        wait_until(lambda: somebody_waits(default_database), 60, "the bulk write waits")
        for pk in ids[1:]:
            Comment.objects.select_for_update(nowait=True).get(pk=pk)
    other.join(20)
    assert not other.is_alive()
    assert answers == [200 if method == "PATCH" else 204]


def test_a_comment_deleted_meanwhile_refuses_the_whole_bulk_write(
    thread: Thread, default_database: str
):
    ids = add(thread, 3)
    edits = {"comments": [{"id": pk, "text": "bulk"} for pk in ids]}
    answers: list[int] = []
    with transaction.atomic():
        Comment.objects.get(pk=ids[1]).delete()
        other = in_a_thread(lambda: answers.append(call(thread, "PATCH", edits)[0]))
        if connections[default_database].vendor == "postgresql":
            wait_until(lambda: somebody_waits(default_database), 60, "the bulk write waits")
    other.join(20)
    assert not other.is_alive()
    assert answers == [404]
    assert told() == [*(("created", pk) for pk in ids), ("deleted", ids[1])]
