"""The relay beside databases that are slow, silent or gone: they hold up nobody else."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connections

from django_hooks import relay as relay_module
from django_hooks.outbox import Outbox
from example_site.settings import database
from example_site.threads.models import Comment
from pushgate import Leases
from stack.process import wait_until
from tests.integration.conftest import close_database, open_database
from tests.integration.test_relay import Site, move_all, site

pytestmark = pytest.mark.real_redis
__all__ = ["site"]


@pytest.fixture
def silent_alias(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database that is found to fail only when the lease has run out."""
    open_database("silent", {**database(), "NAME": str(tmp_path / "silent.sqlite3")})
    exists = Outbox.exists

    def exists_or_fails_late(outbox: Outbox) -> bool:
        if outbox.alias != "silent":
            return exists(outbox)
        site.client.delete(site.keys.lease("relay"))
        raise OperationalError("timeout expired")

    monkeypatch.setattr(Outbox, "exists", exists_or_fails_late)
    monkeypatch.setattr(relay_module, "RELAY_RENEW_SECONDS", 0.0)
    yield "silent"
    close_database("silent")


def test_a_database_that_takes_longer_than_the_lease_does_not_stop_the_others(
    site: Site, silent_alias: str, caplog: pytest.LogCaptureFixture
):
    site.aliases = [silent_alias, site.alias]
    thread = site.thread()
    Comment.objects.create(thread=thread, author="Ada", text="one")
    relay = site.relay()
    assert move_all(relay) == 1
    Comment.objects.create(thread=thread, author="Ada", text="two")
    assert move_all(relay) == 1
    assert site.texts() == ["one", "two"]
    asked = [line for line in caplog.messages if "'silent' cannot be read" in line]
    assert len(asked) == 1, "it is left alone for some seconds"


def test_one_task_moves_rows_beside_a_database_that_takes_longer_than_the_lease(
    site: Site, silent_alias: str
):
    site.aliases = [silent_alias, site.alias]
    Comment.objects.create(thread=site.thread(), author="Ada", text="one")
    assert site.relay().run_for(0) == 1


def test_a_lease_that_another_took_meanwhile_is_left_to_it(site: Site, silent_alias: str):
    site.aliases = [silent_alias, site.alias]
    Comment.objects.create(thread=site.thread(), author="Ada", text="one")
    relay = site.relay()
    acquired = []
    acquire = Leases.acquire

    def once(leases: Leases, *args: Any) -> Any:
        acquired.append(args)
        return acquire(leases, *args) if len(acquired) == 1 else None

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Leases, "acquire", once)
        turns = [relay.turn(), relay.turn()]
    assert [turn.leads for turn in turns] == [False, False]
    assert site.texts() == []


def test_a_database_whose_turn_outlasts_the_lease_does_not_stop_the_others(
    site: Site, silent_alias: str, monkeypatch: pytest.MonkeyPatch
):
    """It is there, and then answers no more."""
    site.aliases = [silent_alias, site.alias]
    call_command("migrate", database=silent_alias, verbosity=0)
    answers = Outbox.settled

    def settled(outbox: Outbox, after: int) -> int:
        if outbox.alias == silent_alias:
            site.client.delete(site.keys.lease("relay"))
            raise OperationalError("canceling statement due to statement timeout")
        return answers(outbox, after)

    monkeypatch.setattr(Outbox, "exists", lambda outbox: True)
    monkeypatch.setattr(Outbox, "settled", settled)
    Comment.objects.create(thread=site.thread(), author="Ada", text="one")
    relay = site.relay()
    assert move_all(relay) == 1
    assert site.texts() == ["one"]


@pytest.mark.parametrize("site_database", ["postgresql"], indirect=True)
def test_a_relay_that_leads_again_asks_on_a_connection_of_its_own_time(site: Site):
    """The one it had may have broken while another led."""
    thread = site.thread()
    first, second = site.relay("first"), site.relay("second")
    assert first.turn().leads
    site.client.delete(site.keys.lease("relay"))
    assert second.turn().leads
    Comment.objects.create(thread=thread, author="Ada", text="one")
    assert not first.turn().leads
    with contextlib.closing(connections[site.alias].copy()) as another:
        pid = connections[site.alias].connection.info.backend_pid
        with another.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
            assert cursor.fetchone() == (True,)
    second.release()
    assert move_all(first) == 1
    assert site.texts() == ["one"]


def test_an_outbox_that_could_not_be_read_is_soon_looked_at_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(relay_module, "LOOK_FOR_OUTBOXES_EVERY_SECONDS", 3600.0)
    monkeypatch.setattr(relay_module, "LOOK_AGAIN_SECONDS", (0.01, 0.01))
    exists = Outbox.exists
    failures = iter([True])

    def exists_or_fails_once(outbox: Outbox) -> bool:
        if next(failures, False):
            raise OperationalError("terminating connection due to administrator command")
        return exists(outbox)

    monkeypatch.setattr(Outbox, "exists", exists_or_fails_once)
    Comment.objects.create(thread=site.thread(), author="Ada", text="one")
    relay = site.relay()
    assert move_all(relay) == 0
    wait_until(lambda: move_all(relay) == 1, 10, "the row is moved")
