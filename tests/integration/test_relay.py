"""The relay between a real database and a real Redis."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import redis
from django.db import OperationalError, connections, transaction
from django.utils import timezone

from django_hooks import backoff, outbox_stream, wake
from django_hooks import relay as relay_module
from django_hooks.models import OutboxIdentity, OutboxRow
from django_hooks.outbox import Outbox
from django_hooks.outbox_stream import StreamRules
from django_hooks.outboxes import outbox_states
from django_hooks.relay import Relay
from example_site.threads.models import Comment, Thread
from pushgate import Event, Keys, Leases, RedisJobQueue, RedisLog, connect, read_ledger
from pushgate.leases import RELAY_LEASE_SECONDS, RELAY_RENEW_SECONDS
from pushgate.log import ResetReason
from stack.process import wait_until
from stack.redis_server import RedisServer

pytestmark = pytest.mark.real_redis


@dataclass
class Site:
    """A site's database, its Redis and the relays between them."""

    alias: str
    client: redis.Redis
    keys: Keys
    limit: int = 100_000
    alarm_seconds: float = 60
    aliases: list[str] = field(default_factory=list)
    relays: list[Relay] = field(default_factory=list)

    @property
    def queue(self) -> RedisJobQueue:
        return RedisJobQueue(self.client, self.keys, partitions=4, limit=self.limit)

    def relay(self, owner: str = "first", retention_seconds: float = 3600) -> Relay:
        made = Relay(
            self.queue,
            RedisLog(self.client, self.keys),
            self.aliases or [self.alias],
            owner,
            rules=StreamRules(retention_seconds, self.alarm_seconds),
            wait_for_rows=lambda seconds: self.client.blpop(
                [self.keys.relay_wake], timeout=seconds
            ),
        )
        self.relays.append(made)
        return made

    def thread(self) -> Thread:
        return Thread.objects.create(title="On the way")

    def jobs(self) -> list[Event]:
        """Every event on the queue; those of one thread in order."""
        entries: list[Any] = []
        for partition in range(4):
            entries += self.client.xrange(self.keys.jobs(partition)) or ()
        return [Event.from_json(fields[b"event"]) for _, fields in entries]

    def texts(self) -> list[str]:
        return [event.data["text"] for event in self.jobs()]


@pytest.fixture
def site(site_database: str, push_settings: dict[str, Any], redis_server: RedisServer) -> Site:
    return Site(site_database, connect(redis_server.url), Keys(push_settings["NAMESPACE"]))


def move_all(relay: Relay) -> int:
    moved = 0
    while (turn := relay.turn()).more:
        moved += turn.moved
    return moved + turn.moved


def in_a_thread(act: Callable[[], None]) -> threading.Thread:
    """Run `act` with database connections of its own."""

    def run() -> None:
        try:
            act()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_saved_comment_is_one_job_with_its_rows_id_as_version(site: Site):
    comment = Comment.objects.create(thread=site.thread(), author="Ada", text="Hello")
    row = OutboxRow.objects.get()
    assert move_all(site.relay()) == 1
    (event,) = site.jobs()
    assert event.type == "comment.created"
    assert event.object == f"threads.comment:{comment.pk}"
    assert event.version == row.pk
    assert event.data["text"] == "Hello"
    assert event.id == Event.from_json(row.event).id
    assert read_ledger(site.client, site.keys).accepted == 1


def test_rows_arrive_in_order_and_once_over_many_batches(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbox_stream, "BATCH_ROWS", 7)
    thread = site.thread()
    with transaction.atomic(using=site.alias):
        for number in range(50):
            Comment.objects.create(thread=thread, author="Ada", text=str(number))
    relay = site.relay()
    assert move_all(relay) == 50
    assert site.texts() == [str(number) for number in range(50)]
    assert move_all(relay) == 0


def test_a_long_batch_is_cut_by_its_bytes(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbox_stream, "BATCH_BYTES", 3000)
    thread = site.thread()
    for number in range(5):
        Comment.objects.create(thread=thread, author="Ada", text=str(number) * 2000)
    relay = site.relay()
    assert relay.turn().moved == 1
    assert move_all(relay) == 4
    assert [text[0] for text in site.texts()] == ["0", "1", "2", "3", "4"]


def test_what_is_rolled_back_never_arrives(site: Site):
    thread = site.thread()
    with pytest.raises(RuntimeError), transaction.atomic(using=site.alias):
        Comment.objects.create(thread=thread, author="Ada", text="undone")
        raise RuntimeError
    with transaction.atomic(using=site.alias):
        Comment.objects.create(thread=thread, author="Ada", text="kept")
        with pytest.raises(RuntimeError), transaction.atomic(using=site.alias):
            Comment.objects.create(thread=thread, author="Ada", text="undone as well")
            raise RuntimeError
    assert move_all(site.relay()) == 1
    assert site.texts() == ["kept"]


class OpenTransaction:
    """A transaction in a thread of its own that has acted and not ended."""

    def __init__(self, alias: str, act: Callable[[], object]) -> None:
        acted, self._may_end = threading.Event(), threading.Event()

        def run() -> None:
            with transaction.atomic(using=alias):
                act()
                acted.set()
                assert self._may_end.wait(60)

        self._thread = in_a_thread(run)
        assert acted.wait(60)

    def end(self) -> None:
        """Commit it, or roll it back if `act` asked for that."""
        self._may_end.set()
        self._thread.join(20)


@pytest.mark.parametrize("site_database", ["postgresql"], indirect=True)
class TestSlowTransactions:
    """On PostgreSQL a transaction with a lower id may commit after one with a higher id."""

    def test_no_row_of_a_slow_one_is_skipped(self, site: Site):
        thread = site.thread()
        slow = OpenTransaction(site.alias, Comment(thread=thread, author="Ada", text="slow").save)
        Comment.objects.create(thread=thread, author="Bo", text="quick")
        relay = site.relay()
        turn = relay.turn()
        assert (turn.moved, turn.held_back) == (0, True)
        slow.end()
        assert move_all(relay) == 2
        assert site.texts() == ["slow", "quick"]

    def test_a_slow_one_that_is_undone_is_waited_for_no_longer(self, site: Site):
        thread = site.thread()

        def write_and_undo() -> None:
            Comment.objects.create(thread=thread, author="Ada", text="undone")
            transaction.set_rollback(True, using=site.alias)

        slow = OpenTransaction(site.alias, write_and_undo)
        Comment.objects.create(thread=thread, author="Bo", text="quick")
        relay = site.relay()
        assert relay.turn().held_back
        slow.end()
        move_all(relay)
        assert site.texts() == ["quick"]

    def test_one_that_wrote_no_event_holds_nobody_back(self, site: Site):
        thread = site.thread()
        unrelated = OpenTransaction(site.alias, Thread(title="no event").save)
        Comment.objects.create(thread=thread, author="Bo", text="quick")
        assert move_all(site.relay()) == 1
        unrelated.end()

    def test_later_writers_do_not_hold_back_earlier_rows(self, site: Site):
        thread = site.thread()
        first = OpenTransaction(site.alias, Comment(thread=thread, author="A", text="first").save)
        Comment.objects.create(thread=thread, author="Bo", text="quick")
        relay = site.relay()
        assert relay.turn().held_back
        second = OpenTransaction(site.alias, Comment(thread=thread, author="C", text="second").save)
        first.end()
        assert relay.turn().moved == 2, "rows committed before the second began wait for it"
        second.end()
        move_all(relay)
        assert site.texts() == ["first", "quick", "second"]

    def test_an_old_transaction_that_writes_an_object_last_comes_last(self, site: Site):
        """The order by transaction id would put its event before the one it overwrote."""
        thread = site.thread()
        comment = Comment.objects.create(thread=thread, author="Ada", text="begun")
        may_write = threading.Event()
        begun = threading.Event()

        def begin_then_write() -> None:
            with transaction.atomic(using=site.alias):
                Thread.objects.create(title="gives the transaction its id")
                begun.set()
                assert may_write.wait(60)
                edit(comment.pk, "last")

        writer = in_a_thread(begin_then_write)
        assert begun.wait(60)
        edit(comment.pk, "between")
        may_write.set()
        writer.join(20)
        move_all(site.relay())
        assert site.texts() == ["begun", "between", "last"]
        versions = [event.version for event in site.jobs()]
        assert versions == sorted(versions)


def edit(comment_id: int, text: str) -> None:
    comment = Comment.objects.get(pk=comment_id)
    comment.text = text
    comment.save()


def test_writers_at_the_same_time_lose_and_repeat_nothing(site: Site):
    thread = site.thread()
    stop = threading.Event()
    relay = site.relay()
    mover = in_a_thread(lambda: relay.run(stop))
    try:

        def write(name: str) -> None:
            for number in range(25):
                Comment.objects.create(thread=thread, author=name, text=f"{name} {number}")

        writers = [in_a_thread(partial(write, name)) for name in "abcd"]
        for writer in writers:
            writer.join(60)
        wait_until(lambda: len(site.texts()) >= 100, 60, "all comments are on the queue")
    finally:
        stop.set()
        mover.join(20)
    versions = [event.version for event in site.jobs()]
    assert versions == sorted(set(versions))
    assert len(versions) == Comment.objects.count() == 100


def test_a_commit_wakes_a_waiting_relay(site: Site):
    waited: list[object] = []
    asleep = threading.Event()

    def wait_for_rows(seconds: float) -> object:
        asleep.set()
        waited.append(site.client.blpop([site.keys.relay_wake], timeout=4))
        return None

    relay = Relay(
        site.queue,
        RedisLog(site.client, site.keys),
        [site.alias],
        "woken",
        rules=StreamRules(3600, 60),
        wait_for_rows=wait_for_rows,
    )
    thread = site.thread()
    stop = threading.Event()
    mover = in_a_thread(lambda: relay.run(stop))
    try:
        assert asleep.wait(60)
        Comment.objects.create(thread=thread, author="Ada", text="wake up")
        wait_until(site.texts, 60, "the comment is on the queue")
        assert waited[0] is not None, "the relay looked by itself; nobody woke it"
    finally:
        stop.set()
        wake.wake_relay(site.client, site.keys.relay_wake)
        mover.join(20)


def test_of_two_relays_one_leads_and_the_other_follows_when_it_ends(site: Site):
    thread = site.thread()
    first, second = site.relay("first"), site.relay("second")
    assert first.turn().leads
    assert not second.turn().leads
    Comment.objects.create(thread=thread, author="Ada", text="one")
    assert move_all(first) == 1
    first.release()
    Comment.objects.create(thread=thread, author="Ada", text="two")
    assert move_all(second) == 1
    assert site.texts() == ["one", "two"]


def test_a_relay_that_slept_through_its_lease_moves_nothing(site: Site):
    thread = site.thread()
    first, second = site.relay("first"), site.relay("second")
    assert first.turn().leads
    # As if the process had been stopped for longer than its lease lasts.
    site.client.delete(site.keys.lease("relay"))
    Comment.objects.create(thread=thread, author="Ada", text="once")
    assert move_all(second) == 1
    Comment.objects.create(thread=thread, author="Ada", text="by the second")
    turn = first.turn()
    assert (turn.leads, turn.moved) == (False, 0)
    assert move_all(second) == 1
    assert site.texts() == ["once", "by the second"]


def test_no_pause_of_a_leader_lasts_as_long_as_its_lease():
    pauses = (
        relay_module.IDLE_SECONDS,
        *relay_module.FULL_SECONDS,
        *relay_module.HELD_BACK_SECONDS,
    )
    assert max(pauses) + RELAY_RENEW_SECONDS < RELAY_LEASE_SECONDS


def test_a_full_queue_keeps_rows_waiting_in_order(site: Site):
    site.limit = 3
    thread = site.thread()
    for number in range(5):
        Comment.objects.create(thread=thread, author="Ada", text=str(number))
    relay = site.relay()
    assert relay.turn().moved == 3
    assert relay.turn().full
    for partition in range(4):
        site.client.xtrim(site.keys.jobs(partition), maxlen=0, approximate=False)
    assert move_all(relay) == 2
    assert site.texts() == ["3", "4"]


def test_what_waits_behind_a_full_queue_is_counted_and_is_an_alarm(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbox_stream, "CHECK_SOURCE_EVERY_SECONDS", 0.0)
    site.limit, site.alarm_seconds = 2, 30
    thread = site.thread()
    for number in range(5):
        Comment.objects.create(thread=thread, author="Ada", text=str(number))
    OutboxRow.objects.create(event="no event", refused="it is not JSON")
    relay = site.relay()
    assert relay.turn().moved == 2
    assert not any("rows wait" in line for line in caplog.messages)
    OutboxRow.objects.update(created_at=timezone.now() - timedelta(seconds=90))
    (state,) = [state for state in outbox_states() if state.alias == site.alias]
    assert (state.waiting, state.refused, state.relayed_until) == (3, 1, 2)
    assert 90 <= state.oldest_seconds < 120
    relay.turn()
    relay.turn()
    (line,) = [line for line in caplog.messages if "rows wait" in line]
    assert "3 rows wait in the outbox, the oldest for 9" in line
    assert "the job queue is full" in line
    for partition in range(4):
        site.client.delete(site.keys.jobs(partition))
    relay.turn()
    for partition in range(4):
        site.client.delete(site.keys.jobs(partition))
    move_all(relay)
    assert any("no row waits longer than 30 s" in line for line in caplog.messages)
    (state,) = [state for state in outbox_states() if state.alias == site.alias]
    assert (state.waiting, state.oldest_seconds) == (0, 0)


def test_ten_thousand_rows_of_one_transaction_arrive_in_order(site: Site):
    made = [
        Event("comment.created", ("thread:1",), {"text": str(number)}, object=f"c:{number}")
        for number in range(10_000)
    ]
    OutboxRow.objects.bulk_create(
        [OutboxRow(event=event.to_json().decode()) for event in made], batch_size=500
    )
    assert move_all(site.relay()) == 10_000
    assert [event.id for event in site.jobs()] == [event.id for event in made]


def test_rows_are_moved_again_when_redis_was_emptied(site: Site):
    thread = site.thread()
    relay = site.relay()
    shown = RedisLog(site.client, site.keys).cursor()
    Comment.objects.create(thread=thread, author="Ada", text="one")
    assert move_all(relay) == 1
    site.client.flushdb()
    Comment.objects.create(thread=thread, author="Ada", text="two")
    # The flush took the lease as well.
    relay.release()
    move_all(relay)
    assert site.texts() == ["one", "two"]
    log = RedisLog(site.client, site.keys)
    assert log.history("thread:1", shown).reset is ResetReason.EPOCH


def test_one_loss_ends_one_epoch_though_the_database_fails_meanwhile(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backoff, "UNREACHABLE_SECONDS", (0.0, 0.0))
    thread = site.thread()
    relay = site.relay()
    Comment.objects.create(thread=thread, author="Ada", text="one")
    assert move_all(relay) == 1
    log = RedisLog(site.client, site.keys)
    # As a Redis that was emptied: what is gone with it is the mark, and the lease stays for once.
    site.client.delete(site.keys.relay)
    asked = Outbox.purged_until
    failures = iter([True])

    def fails_once(outbox: Outbox) -> int:
        if next(failures, False):
            raise OperationalError("server closed the connection unexpectedly")
        return asked(outbox)

    monkeypatch.setattr(Outbox, "purged_until", fails_once)
    before = log.cursor().epoch
    assert relay.turn().failed
    epoch = log.cursor().epoch
    assert epoch != before
    assert move_all(relay) == 1
    assert log.cursor().epoch == epoch


def test_a_row_that_is_no_event_is_kept_aside_and_holds_nobody_up(
    site: Site, caplog: pytest.LogCaptureFixture
):
    thread = site.thread()
    OutboxRow.objects.create(event='{"v": 1, "type": "comment.created"}')
    Comment.objects.create(thread=thread, author="Ada", text="behind it")
    relay = site.relay()
    assert move_all(relay) == 1
    OutboxRow.objects.create(event="not JSON")
    assert move_all(relay) == 0
    kept = OutboxRow.objects.exclude(refused="")
    assert ["missing" in kept[0].refused, "JSON" in kept[1].refused] == [True, True]
    assert len([line for line in caplog.messages if "kept aside" in line]) == 2
    assert site.texts() == ["behind it"]


def test_relayed_rows_are_purged_when_they_are_old_and_others_stay(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbox_stream, "PURGE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(outbox_stream, "PURGE_ROWS", 2)
    thread = site.thread()
    for number in range(5):
        Comment.objects.create(thread=thread, author="Ada", text=str(number))
    keeping = site.relay("keeping", retention_seconds=3600)
    move_all(keeping)
    assert OutboxRow.objects.count() == 5
    keeping.release()
    purging = site.relay("purging", retention_seconds=0)
    move_all(purging)
    assert OutboxRow.objects.count() == 0
    last = Comment.objects.create(thread=thread, author="Ada", text="after the purge")
    move_all(purging)
    assert site.jobs()[-1].object == f"threads.comment:{last.pk}"
    assert site.jobs()[-1].version == 6, "ids go on where they were"


def test_rows_are_purged_while_others_keep_coming(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbox_stream, "PURGE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(outbox_stream, "BATCH_ROWS", 2)
    thread = site.thread()
    relay = site.relay(retention_seconds=0)
    for number in range(6):
        Comment.objects.create(thread=thread, author="Ada", text=str(number))
    assert [relay.turn().moved, OutboxRow.objects.count()] == [2, 4]
    assert [relay.turn().moved, OutboxRow.objects.count()] == [2, 2]
    move_all(relay)
    assert site.texts() == [str(number) for number in range(6)]


def test_rows_that_were_not_relayed_are_never_purged(site: Site):
    Comment.objects.create(thread=site.thread(), author="Ada", text="waits")
    assert Outbox(site.alias).purge(until=0, retention_seconds=0, count=100) == 0
    assert OutboxRow.objects.count() == 1


def test_what_is_kept_has_no_hole_though_the_sites_clock_was_wrong(site: Site):
    thread = site.thread()
    for number in range(4):
        Comment.objects.create(thread=thread, author="Ada", text=str(number))
    first, second, third, fourth = OutboxRow.objects.order_by("id")
    hour = timedelta(hours=1)
    for row, age in ((first, 2 * hour), (second, -hour), (third, 2 * hour), (fourth, 0 * hour)):
        OutboxRow.objects.filter(pk=row.pk).update(created_at=timezone.now() - age)
    assert Outbox(site.alias).purge(fourth.pk, retention_seconds=3600, count=100) == 1
    assert list(OutboxRow.objects.order_by("id")) == [second, third, fourth]


def test_an_outbox_made_anew_starts_afresh(site: Site):
    thread = site.thread()
    relay = site.relay()
    for number in range(3):
        Comment.objects.create(thread=thread, author="Ada", text=str(number))
    move_all(relay)
    relay.release()
    # A new database counts from 1 again and has another identity.
    OutboxRow.objects.all().delete()
    OutboxIdentity.objects.all().delete()
    restart_ids(site.alias)
    Comment.objects.create(thread=thread, author="Ada", text="in the new one")
    assert OutboxRow.objects.get().pk == 1
    move_all(relay)
    assert site.texts()[-1] == "in the new one"


def test_an_outbox_set_back_to_a_backup_is_noticed(site: Site, caplog: pytest.LogCaptureFixture):
    thread = site.thread()
    relay = site.relay()
    for number in range(3):
        Comment.objects.create(thread=thread, author="Ada", text=str(number))
    move_all(relay)
    relay.release()
    OutboxRow.objects.all().delete()
    restart_ids(site.alias)
    Comment.objects.create(thread=thread, author="Ada", text="after the backup")
    move_all(relay)
    assert site.texts()[-1] == "after the backup"
    assert any("was set back" in line for line in caplog.messages)


def test_where_redis_was_set_back_nobody_keeps_a_partition(site: Site) -> None:
    """Jobs that come again may come under ids that were given before."""
    thread = site.thread()
    relay = site.relay()
    for number in range(2):
        Comment.objects.create(thread=thread, author="Ada", text=str(number))
    move_all(relay)
    leases = site.queue.leases
    held = [leases.acquire(str(name), "worker-1", 600) for name in range(site.queue.partitions)]
    (source,) = site.client.hkeys(site.keys.relay)
    site.client.hset(site.keys.relay, source, "1")
    move_all(relay)
    assert not any(leases.renew_all([lease for lease in held if lease]))


def restart_ids(alias: str) -> None:
    table = OutboxRow._meta.db_table
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "sqlite":
            cursor.execute("UPDATE sqlite_sequence SET seq = 0 WHERE name = %s", [table])
        else:
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN id RESTART")


def test_an_unreachable_redis_is_logged_once_and_rows_arrive_when_it_is_back(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level(logging.WARNING, "django_hooks.relay")
    monkeypatch.setattr(backoff, "UNREACHABLE_SECONDS", (0.01, 0.02))
    thread = site.thread()
    Comment.objects.create(thread=thread, author="Ada", text="waits for Redis")
    tries = 0
    acquire = Leases.acquire

    def refuse_a_few(leases: Leases, *args: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries <= 5:
            raise redis.ConnectionError("connection refused")
        return acquire(leases, *args)

    monkeypatch.setattr(Leases, "acquire", refuse_a_few)
    relay, stop = site.relay(), threading.Event()
    mover = in_a_thread(lambda: relay.run(stop))
    try:
        wait_until(site.texts, 60, "the comment is on the queue")
    finally:
        stop.set()
        mover.join(20)
    about_redis = [line for line in caplog.messages if line.startswith("Redis ")]
    assert len(about_redis) == 2
    assert "cannot be reached, rows wait in the outbox" in about_redis[0]
    assert about_redis[1] == "Redis is back"


def test_a_database_that_fails_is_read_again_later(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backoff, "UNREACHABLE_SECONDS", (0.0, 0.0))
    Comment.objects.create(thread=site.thread(), author="Ada", text="still here")
    relay = site.relay()
    relay.turn()
    relay_rows = Outbox.rows
    fails = 2

    def rows(outbox: Outbox, *args: int) -> Any:
        nonlocal fails
        if fails:
            fails -= 1
            raise OperationalError("gone")
        return relay_rows(outbox, *args)

    monkeypatch.setattr(Outbox, "rows", rows)
    Comment.objects.create(thread=Thread.objects.get(), author="Ada", text="and there")
    assert relay.turn().failed
    assert relay.turn().failed
    move_all(relay)
    assert site.texts() == ["still here", "and there"]
    assert len([line for line in caplog.messages if "cannot be reached" in line]) == 1
