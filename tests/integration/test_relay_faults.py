"""What happens to rows when relays, processes and Redis die: lost 0, twice 0, in order."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction

from django_hooks import backoff, database_watch, outbox_stream, wake
from django_hooks.models import OutboxRow
from django_hooks.outbox_books import SiteOutboxes
from django_hooks.outbox_stream import StreamRules
from django_hooks.relay import Relay
from example_site.threads.models import Comment, Thread
from pushgate import Cursor, Event, Keys, RedisJobQueue, RedisLog, connect, read_ledger
from pushgate.control import Control
from pushgate.log import ResetReason
from stack.platform import REPOSITORY
from stack.process import Process, wait_until
from stack.redis_server import RedisServer
from tests.imbalances import imbalances
from tests.integration.conftest import site_environment
from tests.integration.test_push_relay_command import StartRelay, start_relay

pytestmark = pytest.mark.real_redis
__all__ = ["start_relay"]

THREADS = 4


def write_rows(first: int, count: int) -> None:
    """Write events that count up, in turn to a few channels, in one transaction."""
    OutboxRow.objects.bulk_create(
        OutboxRow(
            event=Event("comment.created", (f"thread:{number % THREADS}",), {"number": number})
            .to_json()
            .decode()
        )
        for number in range(first, first + count)
    )


def numbers_by_channel(url: str, keys: Keys) -> dict[str, list[int]]:
    """What is on the queue, in its order."""
    found: dict[str, list[int]] = {}
    client: Any = connect(url)
    for partition in range(4):
        for _, fields in client.xrange(keys.jobs(partition)):
            event = Event.from_json(fields[b"event"])
            found.setdefault(event.channels[0], []).append(event.data["number"])
    return found


def assert_each_once_in_order(found: dict[str, list[int]], count: int) -> None:
    counted = Counter(number for numbers in found.values() for number in numbers)
    assert sorted(set(range(count)) - counted.keys()) == [], "lost"
    assert {number: times for number, times in counted.items() if times > 1} == {}, "twice"
    assert all(numbers == sorted(numbers) for numbers in found.values()), "out of order"


class Running:
    """A relay that runs in a thread, with a connection to Redis of its own."""

    def __init__(self, alias: str, url: str, keys: Keys, rules: StreamRules | None = None) -> None:
        client = connect(url)
        self._stop = threading.Event()
        self._relay = Relay(
            RedisJobQueue(client, keys, partitions=4),
            RedisLog(client, keys),
            [alias],
            "in a thread",
            rules=rules or StreamRules(3600, 60),
            wait_for_rows=lambda seconds: client.blpop([keys.relay_wake], timeout=seconds),
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._relay.run(self._stop)
        finally:
            connections.close_all()

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join(20)


def test_relays_that_fight_are_stopped_and_killed_lose_and_repeat_nothing(
    start_relay: StartRelay, push_settings: dict[str, Any], site_database: str
):
    """The leader is stopped for longer than its lease while rows come; then it wakes up."""
    url, keys = push_settings["REDIS_URL"], Keys(push_settings["NAMESPACE"])
    client = connect(url)
    control = Control(client, keys, 4)
    relays = {relay.pid: relay for relay in (start_relay(), start_relay())}
    written = 0

    def leader() -> Process | None:
        pid = control.relay_holder().split(":")[1:2]
        return relays.get(int(pid[0])) if pid else None

    def write_until(done: Callable[[], bool], what: str) -> None:
        """Write rows until something is so: there is always work to fight for."""

        def write_and_look() -> bool:
            nonlocal written
            write_rows(written, 200)
            written += 200
            wake.nudge()
            return done()

        wait_until(write_and_look, 30, what)

    write_until(lambda: read_ledger(client, keys).accepted > 500, "a relay moves rows")
    first = leader()
    assert first is not None
    os.kill(first.pid, signal.SIGSTOP)
    write_until(lambda: leader() not in (None, first), "the other one leads")
    moved = read_ledger(client, keys).accepted
    write_until(lambda: read_ledger(client, keys).accepted > moved, "the other one moves rows")
    os.kill(first.pid, signal.SIGCONT)
    write_rows(written, 1000)
    written += 1000
    second = leader()
    assert second is not None
    second.kill()
    write_until(lambda: leader() is first, "the first one leads again")
    wait_until(lambda: read_ledger(client, keys).accepted >= written, 60, "all rows are moved")
    assert_each_once_in_order(numbers_by_channel(url, keys), written)
    assert read_ledger(client, keys).accepted == written > 2000
    assert imbalances(client, keys, 4, SiteOutboxes()) == []


def test_redis_is_down_for_many_tries_and_every_row_arrives(
    site_database: str,
    push_settings: dict[str, Any],
    own_redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """Minutes, in short: the pauses are a hundredth of the real ones."""
    tries: list[int] = []
    jittered = backoff.jittered

    def count(bounds: tuple[float, float], failures: int) -> float:
        tries.append(failures)
        return jittered(bounds, failures) / 100

    monkeypatch.setattr(backoff, "jittered", count)
    monkeypatch.setattr(outbox_stream, "CHECK_SOURCE_EVERY_SECONDS", 0.0)
    keys = Keys(push_settings["NAMESPACE"])
    write_rows(0, 500)
    relay = Running(site_database, own_redis.url, keys, StreamRules(3600, 0.01))
    try:
        client = connect(own_redis.url)
        wait_until(lambda: read_ledger(client, keys).accepted == 500, 60, "rows are moved")
        own_redis.kill()
        for first in range(500, 1500, 100):
            write_rows(first, 100)
        wait_until(lambda: len(tries) > 50, 60, "the relay has tried for long")
        assert max(tries) > 50
        own_redis.start()
        wait_until(lambda: read_ledger(client, keys).accepted >= 1500, 60, "all rows are moved")
    finally:
        relay.stop()
    assert_each_once_in_order(numbers_by_channel(own_redis.url, keys), 1500)
    assert imbalances(connect(own_redis.url), keys, 4, SiteOutboxes()) == []
    assert any(
        "rows wait in the outbox, the oldest" in line and "Redis cannot be reached" in line
        for line in caplog.messages
    )


def test_redis_loses_the_tail_of_its_file_and_the_rows_are_moved_again(
    site_database: str, push_settings: dict[str, Any], own_redis: RedisServer, tmp_path: Path
):
    keys = Keys(push_settings["NAMESPACE"])
    client = connect(own_redis.url)
    log = RedisLog(client, keys)
    relay = Running(site_database, own_redis.url, keys)

    def move(first: int, count: int) -> None:
        write_rows(first, count)
        wait_until(
            lambda: read_ledger(client, keys).accepted == first + count, 20, "rows are moved"
        )

    try:
        shown: Cursor = log.cursor()
        move(0, 30)
        (file,) = (tmp_path / "own-redis").glob("appendonlydir/*.incr.aof")
        kept = file.stat().st_size
        move(30, 20)
        own_redis.kill()
        # In the middle of a command, as a power cut leaves it.
        os.truncate(file, kept + (file.stat().st_size - kept) // 2)
        own_redis.start()
        wait_until(lambda: read_ledger(client, keys).accepted == 50, 60, "all rows are moved")
    finally:
        relay.stop()
    assert_each_once_in_order(numbers_by_channel(own_redis.url, keys), 50)
    assert imbalances(client, keys, 4, SiteOutboxes()) == []
    assert log.history("thread:1", shown).reset is ResetReason.EPOCH, "subscribers read anew"


def test_a_process_that_dies_right_after_its_commit_has_told(
    start_relay: StartRelay, push_settings: dict[str, Any], site_database: str, tmp_path: Path
):
    """Nobody wakes the relay, which starts only later."""
    script = """
import os, signal, django
django.setup()
from django.db import transaction
from example_site.threads.models import Comment, Thread
with transaction.atomic():
    thread = Thread.objects.create(title="A thread")
    transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
    Comment.objects.create(thread=thread, author="Ada", text="told")
"""
    environment = {
        **os.environ,
        **site_environment(site_database, push_settings),
        "STATE_DIR": str(tmp_path / "state"),
    }
    ended = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, env=environment)
    assert ended.returncode == -signal.SIGKILL
    assert OutboxRow.objects.count() == Comment.objects.count() == 1
    client, keys = connect(push_settings["REDIS_URL"]), Keys(push_settings["NAMESPACE"])
    start_relay()
    wait_until(lambda: read_ledger(client, keys).accepted == 1, 60, "the comment was relayed")


def test_a_rollback_after_the_row_was_written_moves_nothing(
    site_database: str, push_settings: dict[str, Any], own_redis: RedisServer
):
    """While the relay runs; in nested blocks as well."""
    keys = Keys(push_settings["NAMESPACE"])
    thread = Thread.objects.create(title="A thread")
    relay = Running(site_database, own_redis.url, keys)

    def say(text: str) -> None:
        Comment.objects.create(thread=thread, author="Ada", text=text)

    class Undo(Exception):
        pass

    try:
        with pytest.raises(Undo), transaction.atomic(using=site_database):
            say("undone")
            with transaction.atomic(using=site_database):
                say("undone with it")
            raise Undo
        with transaction.atomic(using=site_database):
            say("first")
            with pytest.raises(Undo), transaction.atomic(using=site_database):
                with transaction.atomic(using=site_database):
                    say("undone by the outer savepoint")
                raise Undo
            with transaction.atomic(using=site_database):
                say("second")
        client: Any = connect(own_redis.url)
        wait_until(lambda: read_ledger(client, keys).accepted == 2, 60, "two are moved")
    finally:
        relay.stop()
    texts = [
        Event.from_json(fields[b"event"]).data["text"]
        for partition in range(4)
        for _, fields in client.xrange(keys.jobs(partition))
    ]
    assert texts == ["first", "second"]


def backends(alias: str) -> set[int]:
    """The processes of PostgreSQL that wait for a word of others than us."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND state = 'idle' AND pid <> pg_backend_pid()"
        )
        return {pid for (pid,) in cursor.fetchall()}


@pytest.mark.parametrize("site_database", ["postgresql"], indirect=True)
def test_a_database_that_falls_silent_is_noticed(
    push_settings: dict[str, Any], site_database: str, monkeypatch: pytest.MonkeyPatch
):
    """The server's process for the relay is frozen, and stays so; a new connection has another."""
    monkeypatch.setattr(database_watch, "ANSWER_SECONDS", 0.5)
    url, keys = push_settings["REDIS_URL"], Keys(push_settings["NAMESPACE"])
    relay = Running(site_database, url, keys)
    frozen: set[int] = set()
    try:
        write_rows(0, 10)
        wait_until(
            lambda: sum(map(len, numbers_by_channel(url, keys).values())) == 10, 30, "10 are moved"
        )
        wait_until(lambda: bool(backends(site_database)), 30, "the relay is at rest")
        frozen = backends(site_database)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        write_rows(10, 10)
        wait_until(
            lambda: sum(map(len, numbers_by_channel(url, keys).values())) == 20, 30, "20 are moved"
        )
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        relay.stop()
    assert_each_once_in_order(numbers_by_channel(url, keys), 20)
