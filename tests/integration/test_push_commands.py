"""push_status, push_publish and push_explain on a real Redis."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command
from pytest_django import Settings

from django_hooks.management.text import aligned, duration
from django_hooks.models import OutboxIdentity, OutboxRow
from django_hooks.outbox_stream import StreamRules
from django_hooks.relay import Relay
from example_site.threads.models import Comment, Thread
from pushgate import (
    Control,
    Event,
    Finished,
    Keys,
    Lease,
    Leases,
    RedisJobQueue,
    RedisLog,
    connect,
    frame_of,
)
from pushgate.job_queue import FROM_THE_START, Job, Outcome
from stack.process import free_port

pytestmark = pytest.mark.real_redis

PARTITIONS = 4


@pytest.fixture
def client(push_settings: dict[str, Any]) -> Iterator[redis.Redis]:
    with connect(push_settings["REDIS_URL"]) as client:
        yield client


@pytest.fixture
def keys(push_settings: dict[str, Any]) -> Keys:
    return Keys(push_settings["NAMESPACE"])


@pytest.fixture
def queue(client: redis.Redis, keys: Keys) -> RedisJobQueue:
    return RedisJobQueue(client, keys, PARTITIONS)


@pytest.fixture
def relay_once(client: redis.Redis, keys: Keys, queue: RedisJobQueue) -> Callable[[str], None]:
    """Relays what a database holds."""

    def relay(alias: str) -> None:
        relay = Relay(
            queue,
            RedisLog(client, keys),
            [alias],
            "relay-1",
            rules=StreamRules(retention_seconds=60, alarm_seconds=60),
            wait_for_rows=lambda _: None,
        )
        while relay.turn().more:
            continue
        relay.release()

    return relay


def run(*words: str) -> str:
    """A command's output."""
    output = io.StringIO()
    call_command(*words, stdout=output)
    return output.getvalue()


def status(*words: str) -> tuple[int, str]:
    """The exit status of push_status and what it said."""
    output = io.StringIO()
    try:
        call_command("push_status", *words, stdout=output)
    except SystemExit as end:
        return int(end.code or 0), output.getvalue()
    return 0, output.getvalue()


def hold_all_leases(client: redis.Redis, keys: Keys) -> None:
    for name in ["relay", *map(str, range(PARTITIONS))]:
        assert Leases(client, keys).acquire(name, f"holder-{name}", 60)


def claim(queue: RedisJobQueue, partition: str) -> tuple[Lease, Job]:
    lease = queue.leases.acquire(partition, "worker-1")
    assert lease is not None
    return lease, queue.claim(lease, FROM_THE_START, 1)[0]


def claim_first(queue: RedisJobQueue) -> tuple[Lease, Job]:
    """The one job there is, claimed."""
    ready = queue.wait({str(number): FROM_THE_START for number in range(PARTITIONS)}, 5)
    return claim(queue, ready.pop())


class TestStatus:
    pytestmark = pytest.mark.django_db

    def test_all_is_well(self, client: redis.Redis, keys: Keys) -> None:
        hold_all_leases(client, keys)
        code, said = status()
        assert code == 0, said
        assert said.startswith("Pushgate is well.")
        assert "holder-3" in said
        assert "0 accepted = 0 published" in said

    def test_a_pause_is_told_and_is_no_complaint(self, client: redis.Redis, keys: Keys) -> None:
        hold_all_leases(client, keys)
        Control(client, keys, PARTITIONS).pause(2)
        code, said = status()
        assert code == 0
        assert "Paused: partition 2." in said

    def test_without_holders_and_relay_it_is_not_well(self, push_settings: dict[str, Any]) -> None:
        code, said = status()
        assert code == 1
        assert "No formatter runs" in said
        assert "No relay leads" in said

    def test_one_partition_without_a_holder_is_named(self, client: redis.Redis, keys: Keys) -> None:
        hold_all_leases(client, keys)
        client.delete(keys.lease("2"))
        assert status()[0] == 1
        assert "Partition 2: nobody holds the lease." in status()[1]

    def test_books_that_do_not_balance_are_a_complaint(
        self, client: redis.Redis, keys: Keys
    ) -> None:
        hold_all_leases(client, keys)
        client.hset(keys.ledger, "published", 2)
        code, said = status()
        assert code == 1
        assert "The ledger does not balance: -2 events" in said
        assert "0 accepted IS NOT 2 published" in said

    def test_a_job_that_waits_too_long_is_a_complaint(
        self, client: redis.Redis, keys: Keys, queue: RedisJobQueue
    ) -> None:
        hold_all_leases(client, keys)
        # A stream's entry is as old as its id says.
        client.xadd(keys.jobs(1), {"event": b"x"}, id="1000-0")
        client.hset(keys.ledger, mapping={"put": 1, "queued": 1})
        code, said = status()
        assert code == 1
        assert "Partition 1: its oldest job waits for" in said
        assert status("--oldest", "1e12")[0] == 0

    def test_rows_that_wait_too_long_are_a_complaint(self, client: redis.Redis, keys: Keys) -> None:
        hold_all_leases(client, keys)
        event = Event("a", ("b",), {}).to_json().decode()
        row = OutboxRow.objects.create(event=event)
        assert status()[0] == 0
        assert status("--oldest", "0")[0] == 1
        assert "Database default: its oldest row waits for" in status("--oldest", "0")[1]
        client.hset(keys.relay, f"default:{OutboxIdentity.objects.get()}", row.pk)
        assert status("--oldest", "0")[0] == 0, "it was relayed"

    def test_no_relay_is_missed_where_nothing_is_written_to_an_outbox(
        self, client: redis.Redis, keys: Keys, settings: Settings, push_settings: dict[str, Any]
    ) -> None:
        settings.PUSHGATE = {**push_settings, "MODE": "on_commit"}
        hold_all_leases(client, keys)
        client.delete(keys.lease("relay"))
        assert status()[0] == 0

    def test_as_json(self, client: redis.Redis, keys: Keys, queue: RedisJobQueue) -> None:
        hold_all_leases(client, keys)
        queue.put(Event("a", ("b",), {}))
        code, said = status("--json")
        found = json.loads(said)
        assert (code, found["healthy"], found["complaints"]) == (0, True, [])
        assert sum(partition["jobs"] for partition in found["partitions"]) == 1
        assert found["partitions"][0]["holder"] == "holder-0"
        assert found["ledger"]["balances"]
        assert [outbox["waiting"] for outbox in found["outboxes"]] == [0]

    def test_without_redis_it_says_so(self, settings: Settings) -> None:
        settings.PUSHGATE = {"REDIS_URL": f"redis://:geheim@127.0.0.1:{free_port()}/0"}
        assert status() == (1, "Redis cannot be reached (ConnectionError).\n")
        code, said = status("--json")
        assert code == 1
        assert json.loads(said) == {
            "healthy": False,
            "complaints": ["Redis cannot be reached (ConnectionError)."],
        }


class TestPublish:
    def test_an_event_is_put_with_all_its_fields(
        self, queue: RedisJobQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO('{"id": 1}'))
        said = run(
            *("push_publish", "comment.created", "thread:1", "forum:7", "--data", "-"),
            *("--key", "k", "--object", "threads.comment:1", "--object-version", "3"),
            *("--id", "0" * 32),
        )
        _, job = claim_first(queue)
        event = job.event()
        assert f"Event {'0' * 32} is on the queue" in said
        assert event.channels == ("thread:1", "forum:7")
        assert (event.type, event.key, event.object) == (
            *("comment.created", "k", "threads.comment:1"),
        )
        assert (event.version, dict(event.data)) == (3, {"id": 1})
        again = run("push_publish", "comment.created", "thread:1", "--id", "0" * 32)
        assert "nothing was done" in again

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (("a", "thread:1", "--data", "{"), "--data is not JSON"),
            (("a", "thread:1", "--data", "[]"), "data: use a JSON object"),
            (("A b", "thread:1"), "type 'A b'"),
            (("a", "Thread"), "channel 'Thread'"),
            (("a", "b", "--id", "7"), "id '7'"),
        ],
    )
    def test_what_is_no_event_is_refused(
        self, push_settings: dict[str, Any], words: tuple[str, ...], sentence: str
    ) -> None:
        with pytest.raises(CommandError, match=sentence):
            run("push_publish", *words)

    def test_without_redis_it_says_how_to_repeat(self, settings: Settings) -> None:
        settings.PUSHGATE = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
        with pytest.raises(CommandError, match="repeat with --id [0-9a-f]{32}"):
            run("push_publish", "a", "b")


class TestExplain:
    @pytest.fixture
    def comment(self, site_database: str, push_settings: dict[str, Any]) -> Comment:
        thread = Thread.objects.create(title="A thread")
        return Comment.objects.create(thread=thread, author="Ada", text="Hello")

    def steps(self, what: str) -> dict[str, str]:
        """Step -> its line."""
        lines = run("push_explain", what).splitlines()
        begin = next(n for n, line in enumerate(lines) if line.startswith("step "))
        table = lines[begin + 1 :]
        return {line.split()[0]: line for line in table[: (*table, "").index("")]}

    def test_the_whole_way_of_a_comment(
        self,
        comment: Comment,
        site_database: str,
        relay_once: Callable[[str], None],
        queue: RedisJobQueue,
    ) -> None:
        name = f"threads.comment:{comment.pk}"
        row = OutboxRow.objects.get()
        steps = self.steps(name)
        assert list(steps) == ["made", "written", "waits"]
        assert f"outbox row {row.pk} in database {site_database}" in steps["written"]
        relay_once(site_database)
        steps = self.steps(name)
        assert list(steps) == ["made", "written", "relayed", "queued", "waits"]
        assert f"the relay's mark is {row.pk}" in steps["relayed"]
        lease, job = claim_first(queue)
        assert "once" in self.steps(name)["claimed"]
        queue.finish(lease, [Finished(job.entry_id, (frame_of(job.event()),))])
        steps = self.steps(name)
        assert list(steps) == ["made", "written", "relayed", "published", "kept"]
        assert f"thread:{comment.thread_id}" in steps["kept"]
        # The row is purged; the log still knows the object and its event.
        event_id = job.event().id
        OutboxRow.objects.all().delete()
        assert list(self.steps(name)) == ["published", "kept"]
        assert list(self.steps(event_id)) == ["published", "kept"]
        assert "no outbox has it" in run("push_explain", event_id)

    def test_the_last_event_of_an_object_is_explained(self, comment: Comment) -> None:
        comment.text = "Changed"
        comment.save()
        said = run("push_explain", f"threads.comment:{comment.pk}")
        assert "comment.updated of" in said

    def test_a_dead_letter_says_why(
        self,
        comment: Comment,
        relay_once: Callable[[str], None],
        queue: RedisJobQueue,
        site_database: str,
    ) -> None:
        relay_once(site_database)
        lease, job = claim_first(queue)
        queue.bury(lease, job.entry_id, "KeyError: 'thread'")
        steps = self.steps(job.event().id)
        assert list(steps) == ["made", "written", "relayed", "queued", "claimed", "dead"]
        assert "KeyError: 'thread'" in steps["dead"]

    def test_an_event_that_a_pipeline_dropped_is_told_of_plainly(
        self,
        comment: Comment,
        relay_once: Callable[[str], None],
        queue: RedisJobQueue,
        site_database: str,
    ) -> None:
        relay_once(site_database)
        lease, job = claim_first(queue)
        queue.finish(lease, [Finished(job.entry_id, (), Outcome.SUPPRESSED)])
        said = run("push_explain", job.event().id)
        assert "How it ended: it left the queue and is not in the log, so its pipeline" in said

    def test_an_event_put_by_hand_says_when(self, site_database: str, queue: RedisJobQueue) -> None:
        event = Event("a", ("b",), {})
        queue.put(event)
        lease, job = claim_first(queue)
        queue.finish(lease, [Finished(job.entry_id, (frame_of(event),))])
        assert list(self.steps(event.id)) == ["put", "published", "kept"]

    @pytest.mark.parametrize("what", ["threads.comment:404", "0" * 32])
    def test_what_nobody_knows_is_an_error(
        self, site_database: str, push_settings: dict[str, Any], what: str
    ) -> None:
        with pytest.raises(CommandError, match="Nothing is known of"):
            run("push_explain", what)


def test_lines_are_aligned() -> None:
    assert list(aligned([("a", 10, "x"), ("bcd", 2, "")])) == ["a    10  x", "bcd  2"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00025, "250 us"),
        (0.25, "250.0 ms"),
        (-0.002, "-2.0 ms"),
        (61, "61.00 s"),
        (600, "10 min"),
        (9000, "2.5 h"),
    ],
)
def test_a_length_of_time_is_told_in_a_unit_that_suits_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text
