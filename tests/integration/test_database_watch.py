"""The watch over databases that do not answer: the silent are cut off, the slow end their work."""

import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_hooks import backoff, database_watch
from django_hooks.database_watch import DatabaseWatch
from django_hooks.management.commands import push_ledger
from django_hooks.models import OutboxRow
from django_hooks.outbox import Outbox
from example_site.threads.models import Comment
from pushgate import Keys
from stack.process import wait_until
from tests.integration.test_relay import OpenTransaction, Site, site
from tests.integration.test_relay_faults import Running

pytestmark = pytest.mark.real_redis
__all__ = ["site"]

on_postgresql = pytest.mark.parametrize("site_database", ["postgresql"], indirect=True)


def tell(alias: str, sql: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)


def asked(alias: str, sql: str) -> Any:
    """What the database answers to a question with one answer."""
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def statements_behind_a_lock(alias: str) -> int:
    """Of how many processes of PostgreSQL, whether anybody reads their answer or not."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    return int(asked(alias, f"{count} AND wait_event_type = 'Lock'"))


@on_postgresql
def test_a_locked_outbox_keeps_no_process_of_the_server_for_each_try(
    push_settings: dict[str, Any], site_database: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database_watch, "ANSWER_SECONDS", 0.2)
    tries: list[int] = []

    def at_once(bounds: tuple[float, float], failures: int) -> float:
        tries.append(failures)
        return 0.0

    monkeypatch.setattr(backoff, "jittered", at_once)
    with transaction.atomic(using=site_database):
        tell(site_database, f"LOCK TABLE {OutboxRow._meta.db_table}")
        relay = Running(site_database, push_settings["REDIS_URL"], Keys(push_settings["NAMESPACE"]))
        try:
            wait_until(lambda: len(tries) >= 5, 60, "the relay has tried often")
            wait_until(
                lambda: statements_behind_a_lock(site_database) <= 1, 30, "one waits, the latest"
            )
        finally:
            relay.stop()


@on_postgresql
def test_the_relays_sessions_alone_are_limited(
    site: Site, site_database: str, monkeypatch: pytest.MonkeyPatch
):
    seen = []
    settled = Outbox.settled

    def look(outbox: Outbox, after: int) -> int:
        seen.append(asked(outbox.alias, "SHOW statement_timeout"))
        return settled(outbox, after)

    monkeypatch.setattr(Outbox, "settled", look)
    tell(site_database, "SELECT 1")
    assert site.relay().run_for(0) == 0
    assert seen == ["9s"]
    assert asked(site_database, "SHOW statement_timeout") == "0"


@on_postgresql
@pytest.mark.parametrize(("already", "then"), [("2s", "2s"), ("1min", "9s")])
def test_a_shorter_limit_of_the_sites_own_stands(
    site: Site, site_database: str, already: str, then: str
):
    connection = connections[site_database]
    connection.settings_dict["OPTIONS"]["options"] = f"-c statement_timeout={already}"
    connection.close()
    site.relay().turn()
    assert asked(site_database, "SHOW statement_timeout") == then


@on_postgresql
def test_a_session_that_others_use_as_well_is_not_limited(site: Site, site_database: str):
    connections[site_database].settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = True
    site.relay().turn()
    assert asked(site_database, "SHOW statement_timeout") == "0"


@pytest.fixture
def frozen_session(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database whose server's process for this thread's connection answers no more."""
    monkeypatch.setattr(database_watch, "ANSWER_SECONDS", 0.5)
    Comment.objects.create(thread=site.thread(), author="Ada", text="waits")
    pid = asked(site.alias, "SELECT pg_backend_pid()")
    os.kill(pid, signal.SIGSTOP)
    yield site.alias
    os.kill(pid, signal.SIGCONT)


def run_as_a_task(site: Site) -> None:
    site.relay().run_for(0)


def run_once(site: Site) -> None:
    call_command("push_relay", "--once")


@on_postgresql
@pytest.mark.parametrize("run", [run_as_a_task, run_once])
def test_a_silent_database_holds_nobody_for_ever(
    site: Site, frozen_session: str, run: Callable[[Site], None]
):
    run(site)
    assert site.texts() == []
    run(site)
    assert site.texts() == ["waits"], "on another connection"


def refusal_of_the_ledger() -> str:
    with pytest.raises(CommandError) as raised:
        call_command("push_ledger")
    assert raised.value.returncode == 2
    return str(raised.value)


@on_postgresql
def test_the_ledger_says_that_a_database_is_silent(
    frozen_session: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(push_ledger, "ANSWER_SECONDS", 0.5)
    assert refusal_of_the_ledger() == "A database cannot be read (OperationalError)."


@on_postgresql
def test_the_ledger_says_that_an_outbox_is_locked(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(push_ledger, "ANSWER_SECONDS", 0.5)
    lock = f"LOCK TABLE {OutboxRow._meta.db_table}"
    locked = OpenTransaction(site.alias, lambda: tell(site.alias, lock))
    try:
        assert refusal_of_the_ledger() == "A database cannot be read (OperationalError)."
    finally:
        locked.end()
    call_command("push_ledger", stdout=io.StringIO())
    assert asked(site.alias, "SHOW statement_timeout") == "0"


class GoneAtSecondLook:
    """A connection that its thread closes between two looks at it."""

    vendor = "postgresql"
    alias = "default"
    wrap_database_errors = nullcontext()

    def __init__(self) -> None:
        self._sessions: list[Any] = [SimpleNamespace(fileno=lambda: -1)]

    @property
    def connection(self) -> Any:
        return self._sessions.pop() if self._sessions else None


def test_a_connection_that_is_closed_meanwhile_is_not_cut():
    connection = cast(BaseDatabaseWrapper, GoneAtSecondLook())
    assert not database_watch._cut(connection)


def test_a_watch_that_failed_once_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(database_watch, "LOOK_SECONDS", 0.01)
    looks: list[int] = []

    def look(watch: DatabaseWatch) -> None:
        looks.append(1)
        if len(looks) == 1:
            raise RuntimeError("unforeseen")

    monkeypatch.setattr(DatabaseWatch, "look", look)
    with DatabaseWatch():
        wait_until(lambda: len(looks) > 2, 30, "it looks again")
    assert "the watch over databases failed; it goes on" in caplog.messages
