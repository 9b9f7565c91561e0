"""A site with two databases has two outboxes; one relay moves both."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dj_database_url
import pytest
from django.db import OperationalError, connections, transaction
from pytest_django import DjangoDbBlocker

from django_hooks import backoff
from django_hooks.models import OutboxRow
from django_hooks.outbox import Outbox
from django_hooks.outbox_stream import StreamRules
from django_hooks.outboxes import outbox_states
from django_hooks.relay import Relay
from example_site.settings import database
from example_site.threads.models import Comment, Thread
from pushgate import Event, Keys, RedisJobQueue, RedisLog, connect
from stack.redis_server import RedisServer
from tests.integration.conftest import close_database, in_postgresql, open_database

pytestmark = pytest.mark.real_redis


@pytest.fixture
def second_database(
    request: pytest.FixtureRequest,
    site_database: str,
    tmp_path: Path,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[str]:
    """The alias of another database of the same kind."""
    alias = f"second_{uuid.uuid4().hex[:8]}"
    config: dict[str, Any]
    on_postgresql = connections[site_database].vendor == "postgresql"
    with django_db_blocker.unblock():
        if on_postgresql:
            server = request.getfixturevalue("postgres_server")
            template = request.getfixturevalue("migrated_postgresql")
            in_postgresql(server, f"CREATE DATABASE {alias} TEMPLATE {template}")
            config = dict(dj_database_url.parse(server.url(alias)))
        else:
            path = tmp_path / "second.sqlite3"
            shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
            config = {**database(), "NAME": str(path)}
        open_database(alias, config)
        yield alias
        close_database(alias)
        if on_postgresql:
            in_postgresql(server, f"DROP DATABASE {alias} WITH (FORCE)")


class Both:
    """Two databases and the relay between them and Redis."""

    def __init__(self, first: str, second: str, url: str, keys: Keys) -> None:
        self.first, self.second = first, second
        self.client: Any = connect(url)
        self._keys = keys
        self.relay = Relay(
            RedisJobQueue(self.client, keys, partitions=4),
            RedisLog(self.client, keys),
            [first, second],
            "the relay",
            rules=StreamRules(3600, 60),
            wait_for_rows=lambda seconds: None,
        )

    def say(self, text: str, alias: str) -> None:
        thread, _ = Thread.objects.using(alias).get_or_create(title="A thread")
        Comment(thread=thread, author="Ada", text=text).save(using=alias)

    def move(self) -> int:
        moved = 0
        while (turn := self.relay.turn()).more:
            moved += turn.moved
        return moved + turn.moved

    def texts(self) -> list[str]:
        return [
            Event.from_json(fields[b"event"]).data["text"]
            for partition in range(4)
            for _, fields in self.client.xrange(self._keys.jobs(partition))
        ]


@pytest.fixture
def both(
    site_database: str,
    second_database: str,
    push_settings: dict[str, Any],
    redis_server: RedisServer,
) -> Both:
    return Both(site_database, second_database, redis_server.url, Keys(push_settings["NAMESPACE"]))


def test_an_event_is_written_to_the_database_of_its_object(both: Both):
    both.say("here", both.first)
    both.say("there", both.second)
    both.say("there as well", both.second)
    assert OutboxRow.objects.using(both.first).count() == 1
    assert OutboxRow.objects.using(both.second).count() == 2
    states = {state.alias: state for state in outbox_states()}
    assert (states[both.first].waiting, states[both.second].waiting) == (1, 2)
    assert both.move() == 3
    assert sorted(both.texts()) == ["here", "there", "there as well"]
    assert both.move() == 0
    states = {state.alias: state for state in outbox_states()}
    assert (states[both.first].waiting, states[both.second].waiting) == (0, 0)


@pytest.fixture
def same_database(site_database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Another alias of the same database, as sites have for long reads."""
    alias = f"again_{uuid.uuid4().hex[:8]}"
    with django_db_blocker.unblock():
        open_database(alias, dict(connections[site_database].settings_dict))
        yield alias
        close_database(alias)


def test_a_database_with_two_aliases_is_relayed_once(
    site_database: str,
    same_database: str,
    push_settings: dict[str, Any],
    redis_server: RedisServer,
):
    keys = Keys(push_settings["NAMESPACE"])
    both = Both(site_database, same_database, redis_server.url, keys)
    both.say("by the one", both.first)
    both.say("by the other", both.second)
    assert both.move() == 2
    assert sorted(both.texts()) == ["by the one", "by the other"]
    aliases = [state.alias for state in outbox_states()]
    assert [alias for alias in aliases if alias in (both.first, both.second)] == [both.first]


def test_a_rollback_in_one_leaves_the_other(both: Both):
    with (
        transaction.atomic(using=both.first),
        pytest.raises(RuntimeError),
        transaction.atomic(using=both.second),
    ):
        both.say("kept, for it is another transaction", both.first)
        both.say("undone", both.second)
        raise RuntimeError
    assert both.move() == 1
    assert both.texts() == ["kept, for it is another transaction"]


def test_one_that_cannot_be_read_does_not_hold_up_the_other(
    both: Both, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backoff, "UNREACHABLE_SECONDS", (0.0, 0.0))
    both.move()
    rows = Outbox.rows

    def fail_on_the_first(outbox: Outbox, *args: int) -> Any:
        if outbox.alias == both.first:
            raise OperationalError("gone")
        return rows(outbox, *args)

    both.say("waits", both.first)
    both.say("arrives", both.second)
    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "rows", fail_on_the_first)
        turn = both.relay.turn()
        assert (turn.moved, turn.failed) == (1, True)
    assert both.texts() == ["arrives"]
    both.move()
    assert sorted(both.texts()) == ["arrives", "waits"]
