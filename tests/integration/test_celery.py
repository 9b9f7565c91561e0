"""Celery drives relay and purge: the tasks called at once, and by Beat in a real worker."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.core.exceptions import ImproperlyConfigured

from django_hooks.models import OutboxRow
from django_hooks.relay import relay_of
from django_hooks.settings import hooks_settings
from django_hooks.tasks import purge_outbox, relay_outbox
from example_site.threads.models import Comment, Thread
from pushgate import Keys, connect, read_ledger
from stack.platform import REPOSITORY
from stack.process import Process, wait_until
from tests.integration.conftest import site_environment

pytestmark = pytest.mark.real_redis


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks run where they are called."""
    app = Celery("eager", set_as_current=True)
    app.conf.task_always_eager = True
    app.conf.task_eager_propagates = True


def say(text: str) -> None:
    thread, _ = Thread.objects.get_or_create(title="A thread")
    Comment.objects.create(thread=thread, author="Ada", text=text)


@pytest.mark.usefixtures("eager")
class TestTasks:
    def test_the_relay_moves_what_is_there(self, site_database: str, push_settings: dict[str, Any]):
        say("one")
        say("two")
        assert relay_outbox.delay().get() == 2
        assert relay_outbox.delay().get() == 0
        client, keys = connect(push_settings["REDIS_URL"]), Keys(push_settings["NAMESPACE"])
        assert read_ledger(client, keys).accepted == 2
        assert not client.exists(keys.lease("relay")), "the next one need not wait"

    def test_the_relay_leaves_it_to_another_that_leads(
        self, site_database: str, push_settings: dict[str, Any]
    ):
        leader = relay_of(hooks_settings())
        leader.turn()
        say("for the leader")
        assert relay_outbox.delay(seconds=30).get() == 0
        assert leader.turn().moved == 1
        leader.release()

    def test_rows_are_purged_when_they_were_kept_for_their_time(
        self, site_database: str, push_settings: dict[str, Any], settings: Any
    ):
        say("relayed")
        relay_outbox.delay()
        say("waits")
        assert purge_outbox.delay().get() == 0
        settings.PUSHGATE = {**push_settings, "RETENTION_SECONDS": 0}
        assert purge_outbox.delay().get() == 1
        assert OutboxRow.objects.count() == 1, "what was not relayed stays"


def test_beat_in_a_real_worker_moves_and_purges(
    site_database: str, push_settings: dict[str, Any], tmp_path: Path
):
    broker = push_settings["REDIS_URL"].removesuffix("/0") + "/1"
    worker = Process(
        "celery",
        (
            *(sys.executable, "-m", "celery", "-A", "tests.integration.celery_site", "worker"),
            *("--beat", "--pool=solo", "--loglevel=INFO", "--without-mingle", "--without-gossip"),
        ),
        log=tmp_path / "celery.log",
        directory=REPOSITORY,
        environment={
            **os.environ,
            **site_environment(site_database, push_settings),
            "STATE_DIR": str(tmp_path / "state"),
            "CELERY_BROKER_URL": broker,
            "CELERY_BEAT_FILE": str(tmp_path / "beat"),
        },
    )
    client, keys = connect(push_settings["REDIS_URL"]), Keys(push_settings["NAMESPACE"])
    worker.start()
    try:
        say("one")
        wait_until(lambda: read_ledger(client, keys).accepted == 1, 60, "it was relayed")
        say("two")
        wait_until(lambda: read_ledger(client, keys).accepted == 2, 60, "so was the next")
        wait_until(lambda: "purge_outbox" in worker.log.read_text(), 60, "the purge has run")
    finally:
        worker.stop()


def test_without_celery_the_tasks_say_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "celery", None)
    monkeypatch.delitem(sys.modules, "django_hooks.tasks")
    with pytest.raises(ImproperlyConfigured, match=r"pip install \"pushgate\[celery\]\""):
        importlib.import_module("django_hooks.tasks")
