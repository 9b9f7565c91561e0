"""A site whose Redis is away: saves succeed, pages render, the log says it once."""

import logging
import os
import threading

import pytest
from django.test import Client
from pytest_django import Settings

from django_hooks import page, wake
from django_hooks.connections import Reachability
from django_hooks.models import OutboxRow
from django_hooks.page import PageCursors
from django_hooks.wake import Nudger
from example_site.threads.models import Comment, Thread
from stack.process import free_port, wait_until


@pytest.fixture(autouse=True)
def no_redis(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    settings.PUSHGATE = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    monkeypatch.setattr(page, "_cursors", PageCursors())
    monkeypatch.setattr(wake, "_nudgers", {})


@pytest.mark.django_db(transaction=True)
def test_a_save_succeeds_and_is_logged_once(caplog: pytest.LogCaptureFixture):
    thread = Thread.objects.create(title="A thread")
    for number in range(3):
        Comment.objects.create(thread=thread, author="Ada", text=str(number))
        wait_until(lambda: "cannot be reached" in caplog.text, 60, "the trouble is logged")
    assert OutboxRow.objects.count() == 3
    assert caplog.text.count("Redis cannot be reached, events wait in the outbox") == 1


@pytest.mark.django_db
def test_a_page_is_whole_but_has_no_cursor(client: Client, caplog: pytest.LogCaptureFixture):
    thread = Thread.objects.create(title="A thread")
    for _ in range(3):
        answer = client.get(thread.get_absolute_url())
        assert answer.status_code == 200
        assert 'data-cursor=""' in answer.content.decode()
    assert caplog.text.count("pages are rendered without a cursor") == 1


def test_losing_and_finding_are_logged_once_each(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    redis = Reachability(logging.getLogger("test"), "Redis")
    for _ in range(3):
        redis.lost(OSError("refused"), "rows wait")
    for _ in range(3):
        redis.found()
    assert caplog.messages == [
        "Redis cannot be reached, rows wait: OSError: refused",
        "Redis is back",
    ]


def test_a_forked_process_starts_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch):
    nudged: list[int] = []
    monkeypatch.setattr(Nudger, "nudge", lambda nudger: nudged.append(id(nudger)))
    wake.nudge()
    wake.nudge()
    monkeypatch.setattr(os, "getpid", lambda: 4_000_000)
    wake.nudge()
    assert nudged[0] == nudged[1] != nudged[2]


def test_many_nudges_are_few_wakes(monkeypatch: pytest.MonkeyPatch):
    wakes = 0
    first, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def wake_relay(*_: object) -> None:
        nonlocal wakes
        wakes += 1
        if wakes == 1:
            first.set()
            assert go_on.wait(60)
        else:
            done.set()

    monkeypatch.setattr(wake, "wake_relay", wake_relay)
    nudger = Nudger()
    nudger.nudge()
    assert first.wait(60)
    for _ in range(100):
        nudger.nudge()
    go_on.set()
    assert done.wait(60)
    assert wakes == 2
