"""Views that are coroutines write events as any other view does."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient
from django.urls import path
from pytest_django import Settings

from django_hooks.models import OutboxRow
from example_site.threads.models import Comment, Thread
from pushgate import Event


async def say(request: HttpRequest) -> HttpResponse:
    """Save, change and delete with the asynchronous ORM."""
    thread = await Thread.objects.acreate(title="A thread")
    comment = Comment(thread=thread, author="Ada", text="one")
    await comment.asave()
    await Comment.objects.acreate(thread=thread, author="Bo", text="two")
    comment.text = "one, edited"
    await comment.asave()
    await comment.adelete()
    return HttpResponse("said")


async def say_and_undo(request: HttpRequest) -> HttpResponse:
    """Transactions are for synchronous code; this one is undone."""

    def write() -> None:
        with transaction.atomic(using=request.GET["database"]):
            thread = Thread.objects.create(title="A thread")
            Comment.objects.create(thread=thread, author="Ada", text="undone")
            transaction.set_rollback(True, using=request.GET["database"])

    await sync_to_async(write)()
    return HttpResponse("undone")


urlpatterns = [path("say/", say), path("undo/", say_and_undo)]


@pytest.fixture
def ask(site_database: str, settings: Settings, push_settings: dict[str, Any]) -> Any:
    settings.ROOT_URLCONF = __name__
    client = AsyncClient()
    return async_to_sync(client.get)


def stories() -> list[tuple[str, str]]:
    events = [Event.from_json(row.event) for row in OutboxRow.objects.order_by("id")]
    return [(event.type, event.data["text"]) for event in events]


def test_an_async_view_writes_its_events(ask: Any):
    assert ask("/say/").content == b"said"
    assert stories() == [
        ("comment.created", "one"),
        ("comment.created", "two"),
        ("comment.updated", "one, edited"),
        ("comment.deleted", "one, edited"),
    ]


def test_what_an_async_view_undoes_is_not_told(ask: Any, site_database: str):
    assert ask(f"/undo/?database={site_database}").content == b"undone"
    assert stories() == []
    assert not Comment.objects.exists()
