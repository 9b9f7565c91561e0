"""`manage.py push_ledger`: the books of outbox, queue and log on real servers. They balance
whatever happens to Redis, and what is done by hand past them is found, with the events' ids."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from django_hooks import outbox_stream
from django_hooks.models import OutboxRow
from django_hooks.outbox import Outbox, OutboxBooks
from django_hooks.outbox_books import SiteOutboxes
from example_site.threads.models import Comment
from pushgate import Event, Finished, Lease, frame_of
from pushgate.books import BooksReader
from pushgate.job_queue import FROM_THE_START
from stack.platform import REPOSITORY
from stack.process import free_port
from tests.integration.conftest import site_environment
from tests.integration.test_relay import OpenTransaction, Site, in_a_thread, move_all, site

pytestmark = [pytest.mark.real_redis, pytest.mark.long]
__all__ = ["site"]

PARTITIONS = range(4)


def write(site: Site, count: int) -> list[str]:
    """Says so much; returns the events' ids."""
    before = OutboxRow.objects.count()
    thread = site.thread()
    for number in range(count):
        Comment.objects.create(thread=thread, author="Ada", text=str(number))
    rows = OutboxRow.objects.order_by("id").values_list("event", flat=True)[before:]
    return [Event.from_json(text).id for text in rows]


def relay(site: Site, retention_seconds: float = 3600) -> None:
    """Relays what there is, and purges."""
    relay = site.relay(retention_seconds=retention_seconds)
    move_all(relay)
    relay.release()


def publish(site: Site) -> None:
    """Works all jobs there are."""
    for partition in PARTITIONS:
        lease = lease_of(site, partition)
        jobs = site.queue.claim(lease, FROM_THE_START, 1000)
        done = [Finished(job.entry_id, (frame_of(job.event()),)) for job in jobs]
        if done:
            site.queue.finish(lease, done)
        site.queue.leases.release(lease)


def lease_of(site: Site, partition: int) -> Lease:
    lease = site.queue.leases.acquire(str(partition), "worker", 600)
    assert lease is not None
    return lease


def check(wait: float = 0) -> str:
    """What a check says; "" when the books balance."""
    output = io.StringIO()
    try:
        call_command("push_ledger", "--check", "--wait", str(wait), stdout=output)
    except SystemExit as ended:
        assert ended.code == 1
        return output.getvalue()
    assert output.getvalue().startswith("The books balance."), output.getvalue()
    return ""


def jobs(site: Site) -> list[tuple[str, bytes, Any]]:
    """Key, entry and fields of each job."""
    client: Any = site.client
    return [
        (site.keys.jobs(partition), entry_id, fields)
        for partition in PARTITIONS
        for entry_id, fields in client.xrange(site.keys.jobs(partition))
    ]


def source(site: Site) -> str:
    return Outbox(site.alias).source()


def test_the_books_balance_from_row_to_frame(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_stream, "PURGE_EVERY_SECONDS", 0.0)
    assert check() == ""
    write(site, 5)
    assert check() == "", "five wait"
    site.limit = 3
    assert site.relay().turn().moved == 3
    site.relays[-1].release()
    assert check() == "", "some wait, some are relayed"
    site.limit = 100
    relay(site)
    OutboxRow.objects.create(event="no event")
    publish(site)
    relay(site, retention_seconds=0)
    assert OutboxRow.objects.count() == 1, "the refused one"
    assert check() == "", "what was purged was counted"
    write(site, 2)
    relay(site)
    output = io.StringIO()
    call_command("push_ledger", "--json", stdout=output)
    told = json.loads(output.getvalue())
    assert told["balances"]
    accounts = {account["stage"]: account for account in told["accounts"] if account["whole"]}
    (mine,) = [a for a in told["accounts"] if a["name"] == source(site)]
    assert mine["whole"] == {"committed": 7}
    assert mine["parts"] == {"waiting": 0, "relayed": 7, "gone": 0}
    assert mine["beside"] == {"kept aside": 1, "purged": 5}
    assert accounts["origin"]["parts"]["relayed"] == 7
    assert accounts["queue"]["parts"]["published"] == 5


def test_a_check_that_nothing_can_hurry_is_right_while_all_moves(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are written, relayed, published and purged meanwhile; nothing is waited for."""
    monkeypatch.setattr(outbox_stream, "PURGE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(outbox_stream, "BATCH_ROWS", 7)
    stop = threading.Event()

    def keep(act: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            while not stop.is_set():
                act()

        return in_a_thread(run)

    mover = site.relay(retention_seconds=0)
    threads = [keep(mover.turn), keep(lambda: publish(site)), keep(lambda: write_one(site))]
    try:
        for _ in range(40):
            assert check() == ""
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    mover.release()
    relay(site)
    publish(site)
    assert check() == ""


def write_one(site: Site) -> None:
    event = Event("a.b", ("thread:1",), {})
    OutboxRow.objects.using(site.alias).create(event=event.to_json().decode())


def steal_a_job(site: Site, ids: list[str]) -> list[str]:
    key, entry_id, fields = jobs(site)[0]
    site.client.xdel(key, entry_id)
    return [Event.from_json(fields[b"event"]).id]


def double_a_job(site: Site, ids: list[str]) -> list[str]:
    key, _, fields = jobs(site)[0]
    site.client.xadd(key, fields)
    return [Event.from_json(fields[b"event"]).id]


def queue_what_was_published(site: Site, ids: list[str]) -> list[str]:
    key, _, fields = jobs(site)[0]
    publish(site)
    site.client.xadd(key, fields)
    return [Event.from_json(fields[b"event"]).id]


def double_a_frame(site: Site, ids: list[str]) -> list[str]:
    publish(site)
    client: Any = site.client
    client.xadd(site.keys.log, client.xrange(site.keys.log)[1][1])
    return [ids[1]]


def move_the_mark_past_a_row(site: Site, ids: list[str]) -> list[str]:
    """As a relay does that moves its mark and dies before it appends."""
    lost = write(site, 2)
    site.client.hset(site.keys.relay, source(site), OutboxRow.objects.latest("id").pk)
    return lost


def move_the_mark_back(site: Site, ids: list[str]) -> list[str]:
    publish(site)
    site.client.hset(site.keys.relay, source(site), OutboxRow.objects.order_by("id")[1].pk)
    relay(site)
    publish(site)
    return ids[2:]


def delete_a_relayed_row(site: Site, ids: list[str]) -> list[str]:
    OutboxRow.objects.earliest("id").delete()
    return []


NEVER, NOWHERE = "were never put on the queue", "neither on the queue, nor dead, nor in the log"


@pytest.mark.parametrize(
    ("harm", "complaint", "named_as"),
    [
        (steal_a_job, "1 jobs are booked as queued and lie in no partition", NOWHERE),
        (double_a_job, "1 jobs lie in the partitions that are not", "On the queue more than once"),
        (queue_what_was_published, "1 jobs lie in the partitions", "and on the queue still"),
        (double_a_frame, "1 entries were appended to the log by nobody", "In the log more than"),
        (move_the_mark_past_a_row, f"2 rows up to the relay's mark {NEVER}", NOWHERE),
        (move_the_mark_back, "2 more rows were put on the queue than", "In the log more than once"),
        (delete_a_relayed_row, "1 more rows were put on the queue than there ever were", ""),
    ],
)
def test_what_is_done_past_the_books_is_found_and_named(
    site: Site, harm: Callable[[Site, list[str]], list[str]], complaint: str, named_as: str
) -> None:
    ids = write(site, 4)
    relay(site)
    harmed = harm(site, ids)
    said = check()
    assert complaint in said
    if named_as:
        assert named_as in said
    assert sorted(named_in(said)) == sorted(harmed)
    assert ("manage.py push_explain <id>" in said) == bool(harmed)


def named_in(said: str) -> list[str]:
    return re.findall(r"^  ([0-9a-f]{32})$", said, re.MULTILINE)


def test_no_more_than_twenty_are_named(site: Site) -> None:
    write(site, 25)
    relay(site)
    for key, entry_id, _ in jobs(site):
        site.client.xdel(key, entry_id)
    said = check()
    assert len(set(named_in(said))) == 20
    assert "\n  and more\n" in said


@pytest.mark.parametrize("site_database", ["postgresql"], indirect=True)
def test_a_relay_that_skips_the_row_of_a_slower_transaction_is_found(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def newest(outbox: Outbox, after: int) -> int:
        return int(OutboxRow.objects.using(outbox.alias).latest("id").pk)

    monkeypatch.setattr(Outbox, "settled", newest)
    thread = site.thread()
    slow = OpenTransaction(site.alias, Comment(thread=thread, author="Ada", text="slow").save)
    Comment.objects.create(thread=thread, author="Bo", text="quick")
    relay(site)
    assert check() == "", "nobody knows of it yet"
    slow.end()
    said = check()
    assert f"1 rows up to the relay's mark {NEVER}" in said
    assert Event.from_json(OutboxRow.objects.earliest("id").event).id in said


class TestRedisThatForgets:
    """Emptied, or set back to what it was: the books begin anew where Redis did."""

    @pytest.fixture(autouse=True)
    def purge_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox_stream, "PURGE_EVERY_SECONDS", 0.0)

    def test_emptied(self, site: Site) -> None:
        """With rows purged, rows relayed and kept, and rows that wait."""
        write(site, 5)
        relay(site, retention_seconds=0)
        write(site, 3)
        relay(site)
        write(site, 2)
        empty(site)
        assert check() == "", "before a relay has looked"
        relay(site)
        assert check() == ""
        assert parts(site) == {"waiting": 0, "relayed": 5, "gone": 5}
        relay(site, retention_seconds=0)
        write(site, 1)
        relay(site)
        assert check() == "", "and goes on"
        empty(site)
        relay(site)
        assert check() == "", "and again"
        assert parts(site) == {"waiting": 0, "relayed": 1, "gone": 10}

    def test_emptied_before_an_outbox_that_takes_long_to_count(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The relay holds its lease for seconds: it counts the rows up to its mark alone."""
        write(site, 5)
        relay(site, retention_seconds=0)
        write(site, 3)
        relay(site)
        assert Outbox(site.alias).committed_until(6) == Outbox(site.alias).books(6).relayed == 6
        empty(site)
        books = Outbox.books

        def longer_than_the_lease(outbox: Outbox, mark: int) -> OutboxBooks:
            site.client.delete(site.keys.lease("relay"))
            return books(outbox, mark)

        with monkeypatch.context() as patched:
            patched.setattr(Outbox, "books", longer_than_the_lease)
            relay(site)
        assert parts(site) == {"waiting": 0, "relayed": 3, "gone": 5}

    def test_emptied_under_a_relay_that_runs(self, site: Site) -> None:
        write(site, 5)
        running = site.relay(retention_seconds=0)
        move_all(running)
        assert OutboxRow.objects.count() == 0
        empty(site)
        # The flush took the lease as well.
        running.release()
        write(site, 2)
        move_all(running)
        assert check() == ""
        assert parts(site) == {"waiting": 0, "relayed": 2, "gone": 5}

    def test_set_back_under_a_relay_that_runs(self, site: Site) -> None:
        """It holds its lease still, and another one purges."""
        write(site, 3)
        running = site.relay()
        move_all(running)
        backup = dumped(site)
        write(site, 2)
        move_all(running)
        Outbox(site.alias).purge(5, 0, 100)
        set_back(site, backup)
        write(site, 1)
        move_all(running)
        assert check() == ""
        assert parts(site) == {"waiting": 0, "relayed": 4, "gone": 2}

    def test_set_back_to_a_backup(self, site: Site) -> None:
        """Some of the rows relayed since were purged, the rest are relayed again."""
        write(site, 3)
        relay(site)
        publish(site)
        backup = dumped(site)
        write(site, 4)
        relay(site, retention_seconds=0)
        write(site, 2)
        relay(site)
        publish(site)
        set_back(site, backup)
        assert check() == "", "before a relay has looked"
        relay(site)
        assert check() == ""
        assert parts(site) == {"waiting": 0, "relayed": 5, "gone": 4}

    def test_what_is_wrong_stays_wrong_beside_it(self, site: Site) -> None:
        write(site, 5)
        relay(site, retention_seconds=0)
        empty(site)
        write(site, 2)
        relay(site)
        assert check() == ""
        lost = write(site, 1)
        site.client.hset(site.keys.relay, source(site), OutboxRow.objects.latest("id").pk)
        assert lost[0] in check()

    def test_a_mark_set_back_by_hand_below_purged_rows(self, site: Site) -> None:
        write(site, 5)
        relay(site, retention_seconds=0)
        write(site, 2)
        relay(site)
        site.client.hset(site.keys.relay, source(site), 2)
        assert "2 more rows were put on the queue" in check()
        relay(site)
        assert "2 more rows were put on the queue" in check()


def empty(site: Site) -> None:
    for key in keys_of(site):
        site.client.delete(key)


def dumped(site: Site) -> dict[bytes, Any]:
    """All but the leases."""
    return {key: site.client.dump(key) for key in keys_of(site) if b":lease:" not in key}


def set_back(site: Site, backup: dict[bytes, Any]) -> None:
    for key in dumped(site):
        site.client.delete(key)
    for key, content in backup.items():
        site.client.restore(key, 0, content)


def keys_of(site: Site) -> list[bytes]:
    return list(site.client.scan_iter(f"{{{site.keys.namespace}}}:*"))


def parts(site: Site) -> dict[str, int]:
    """What became of the rows of the test's database."""
    output = io.StringIO()
    call_command("push_ledger", "--json", stdout=output)
    accounts = json.loads(output.getvalue())["accounts"]
    (mine,) = [account for account in accounts if account["name"] == source(site)]
    found: dict[str, int] = mine["parts"]
    return found


def test_a_database_set_back_has_books_of_its_own(site: Site) -> None:
    """Under its new name; the old one is told of, with its rows, which nobody can look at."""
    write(site, 3)
    relay(site)
    old = source(site)
    OutboxRow.objects.all().delete()
    Outbox(site.alias).renew_identity()
    write(site, 2)
    relay(site)
    assert check() == ""
    output = io.StringIO()
    call_command("push_ledger", stdout=output)
    assert f"Outbox {old}: 3 rows relayed, up to 3; its database was not asked." in (
        output.getvalue()
    )


@pytest.mark.parametrize("lost", [0, 1])
def test_rows_purged_between_two_readings_hide_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """The books were read before two more rows were relayed and purged at once."""
    monkeypatch.setattr(outbox_stream, "PURGE_EVERY_SECONDS", 0.0)
    write(site, 3)
    relay(site)
    write(site, lost)
    if lost:
        site.client.hset(site.keys.relay, source(site), OutboxRow.objects.latest("id").pk)
    reader = BooksReader(site.client, site.keys, 4)
    before = reader.read()
    write(site, 2)
    relay(site, retention_seconds=0)
    assert OutboxRow.objects.count() == 0
    accounts = SiteOutboxes().accounts(before, reader.read)
    (account,) = [account for account in accounts if account.name == source(site)]
    assert account.parts == (("waiting", 0), ("relayed", 5), ("gone", 0))
    assert bool(account.complaint) == bool(lost)


def test_two_that_purge_at_once_count_each_row_once(site: Site) -> None:
    write(site, 20)
    relay(site)
    barrier = threading.Barrier(3)

    def purge() -> None:
        barrier.wait(20)
        while Outbox(site.alias).purge(20, 0, 3):
            continue

    threads = [in_a_thread(purge) for _ in range(3)]
    for thread in threads:
        thread.join(30)
    assert OutboxRow.objects.count() == 0
    assert check() == ""


class TestAsAProcess:
    """The exit status. To the process the test's database is `default`, so a process relays."""

    @pytest.fixture
    def environment(
        self, site: Site, push_settings: dict[str, Any], tmp_path: Path
    ) -> dict[str, str]:
        return {
            **os.environ,
            **site_environment(site.alias, push_settings),
            "STATE_DIR": str(tmp_path / "state"),
        }

    COMMANDS = (("-m", "pushgate", "ledger"), ("example_site/manage.py", "push_ledger"))

    @pytest.mark.parametrize("command", COMMANDS)
    def test_it_says_whether_they_balance(
        self, site: Site, environment: dict[str, str], command: tuple[str, ...]
    ) -> None:
        write(site, 2)
        moved = run(environment, "example_site/manage.py", "push_relay", "--once")
        assert moved.returncode == 0
        good = run(environment, *command, "--check")
        assert (good.returncode, good.stderr) == (0, "")
        assert good.stdout.startswith("The books balance.")
        stolen = steal_a_job(site, [])
        bad = run(environment, *command, "--check", "--wait", "0")
        assert bad.returncode == 1
        assert "- partitions: 1 jobs are booked as queued and lie in no partition" in bad.stdout
        assert (stolen[0] in bad.stdout) == ("push_ledger" in command)
        shown = run(environment, *command)
        assert shown.returncode == 0, "it was not asked to check"
        assert "do NOT balance" in shown.stdout

    @pytest.mark.parametrize("command", COMMANDS)
    def test_who_does_not_answer_is_2(
        self, site: Site, environment: dict[str, str], command: tuple[str, ...]
    ) -> None:
        nowhere = f"http://127.0.0.1:{free_port()}"
        ended = run(environment, *command, "--check", "--wait", "0", "--gateway", nowhere)
        assert ended.returncode == 2
        assert f"- gateway {nowhere} does not answer: " in ended.stdout
        environment["PUSHGATE_REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"
        ended = run(environment, *command, "--check")
        assert ended.returncode == 2
        assert "Redis cannot be reached (ConnectionError)." in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
        ended = run(environment, *command, "--wait", "long")
        assert ended.returncode == 2
        assert "--wait 'long': use seconds, 0 to 3600" in ended.stderr


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
