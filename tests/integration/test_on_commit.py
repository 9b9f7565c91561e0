"""Mode `on_commit`, the cheaper choice: what it tells, and exactly what it loses."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from pytest_django import Settings

from django_hooks import connections
from django_hooks.models import OutboxRow
from example_site.threads.models import Comment, Thread
from pushgate import Event, Keys, MemoryJobQueue, connect
from stack.platform import REPOSITORY
from stack.process import free_port
from tests.integration.conftest import site_environment

pytestmark = pytest.mark.real_redis


@pytest.fixture
def texts(
    site_database: str, settings: Settings, push_settings: dict[str, Any]
) -> Callable[[], list[str]]:
    """What is on the queue."""
    settings.PUSHGATE = {**push_settings, "MODE": "on_commit"}
    client: Any = connect(push_settings["REDIS_URL"])
    keys = Keys(push_settings["NAMESPACE"])

    def read() -> list[str]:
        return [
            Event.from_json(fields[b"event"]).data["text"]
            for partition in range(4)
            for _, fields in client.xrange(keys.jobs(partition))
        ]

    return read


def say(text: str) -> Comment:
    thread, _ = Thread.objects.get_or_create(title="A thread")
    return Comment.objects.create(thread=thread, author="Ada", text=text)


def test_what_is_committed_is_put_in_order_and_counted(
    texts: Callable[[], list[str]], site_database: str, push_settings: dict[str, Any]
):
    with transaction.atomic(using=site_database):
        comment = say("one")
        with pytest.raises(RuntimeError), transaction.atomic(using=site_database):
            say("undone")
            raise RuntimeError
        comment.text = "two"
        comment.save()
        assert texts() == [], "nothing is told before the commit"
    assert texts() == ["one", "two"]
    assert not OutboxRow.objects.exists(), "and no row is written for it"


def test_a_rollback_puts_nothing(texts: Callable[[], list[str]], site_database: str):
    with pytest.raises(RuntimeError), transaction.atomic(using=site_database):
        say("undone")
        raise RuntimeError
    assert texts() == []


def test_it_loses_what_is_written_while_redis_is_down(
    texts: Callable[[], list[str]],
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
):
    url = settings.PUSHGATE["REDIS_URL"]
    settings.PUSHGATE = {**settings.PUSHGATE, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    say("lost")
    settings.PUSHGATE = {**settings.PUSHGATE, "REDIS_URL": url}
    say("told")
    assert texts() == ["told"]
    assert Comment.objects.count() == 2, "the request did not fail with it"
    assert any("(comment.created) is lost" in line for line in caplog.messages)


def test_it_loses_what_a_full_queue_refuses(
    texts: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    full = MemoryJobQueue(limit=0)
    monkeypatch.setattr(connections, "job_queue", lambda: full)
    say("lost")
    assert Comment.objects.count() == 1
    assert any("is lost" in line and "holds 0 jobs" in line for line in caplog.messages)


def test_it_loses_what_a_process_that_dies_had_just_committed(
    texts: Callable[[], list[str]], site_database: str, settings: Settings, tmp_path: Path
):
    """The outbox keeps it: see test_relay_faults."""
    script = """
import os, signal, django
django.setup()
from django.db import transaction
from example_site.threads.models import Comment, Thread
with transaction.atomic():
    thread = Thread.objects.create(title="A thread")
    transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
    Comment.objects.create(thread=thread, author="Ada", text="lost")
"""
    environment = {
        **os.environ,
        **site_environment(site_database, settings.PUSHGATE),
        "PUSHGATE_MODE": "on_commit",
        "STATE_DIR": str(tmp_path / "state"),
    }
    ended = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, env=environment)
    assert ended.returncode == -signal.SIGKILL
    assert Comment.objects.get().text == "lost"
    assert texts() == []
    assert not OutboxRow.objects.exists()
