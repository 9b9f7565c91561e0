"""The mixins that reach outside, in a formatter of its own on a real Redis."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from pushgate import Event, Keys, RedisJobQueue, RedisLog, read_ledger
from stack.platform import REPOSITORY
from stack.process import Process, wait_until
from stack.redis_server import RedisServer
from tests.integration.scripted_api import ScriptedApi

DEADLINE_SECONDS = 90
PARTITIONS = 4


class Site:
    """A namespace, another in the dark, an API, and a formatter between them."""

    def __init__(
        self, server: RedisServer, client: redis.Redis, namespace: str, directory: Path
    ) -> None:
        self.api = ScriptedApi()
        self.keys = Keys(namespace)
        self.dark_keys = Keys(f"{namespace}-dark")
        self.queue = RedisJobQueue(client, self.keys, PARTITIONS)
        self.log = RedisLog(client, self.keys)
        self._client = client
        self._start_of_log = self.log.cursor().entry_id
        self.formatter = Process(
            "formatter",
            [
                *(sys.executable, "-m", "formatter"),
                *("--pipelines", "tests.integration.outside_pipelines"),
            ],
            log=directory / "formatter.log",
            directory=REPOSITORY,
            environment={
                **os.environ,
                "PUSHGATE_REDIS_URL": server.url,
                "PUSHGATE_NAMESPACE": namespace,
                "PUSHGATE_PARTITIONS": str(PARTITIONS),
                "DARK_NAMESPACE": self.dark_keys.namespace,
                "API": self.api.origin,
            },
        )

    def put(self, *events: Event) -> None:
        for event in events:
            self.queue.put(event)

    def frames(self) -> list[tuple[str, dict[str, Any]]]:
        """What subscribers got: types and data."""
        found = []
        for entry in self.log.after(self._start_of_log, 100_000):
            head, data = entry.frame.decode().strip().split("\n")
            found.append((head.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
        return found

    def has_told_of(self, events: int) -> bool:
        """Whether the frames stand for so many events."""
        return sum(int(data.get("count", 1)) for _, data in self.frames()) >= events

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        wait_until(condition, DEADLINE_SECONDS, what)

    def wait_until_done(self) -> None:
        self.wait_until(lambda: self.ledger().queued == 0, "the queue is empty")

    def ledger(self) -> Any:
        return read_ledger(self._client, self.keys)

    def dark_ids(self) -> set[str]:
        """The ids of the jobs in the dark namespace."""
        ids = set()
        for partition in range(PARTITIONS):
            entries: Any = self._client.xrange(self.dark_keys.jobs(partition))
            ids |= {Event.from_json(fields[b"event"]).id for _, fields in entries}
        return ids


@pytest.fixture
def site(
    redis_server: RedisServer, redis_client: redis.Redis, redis_namespace: str, tmp_path: Path
) -> Iterator[Site]:
    site = Site(redis_server, redis_client, redis_namespace, tmp_path)
    yield site
    site.formatter.stop()
    site.api.shutdown()
    site.api.server_close()


def comments(count: int, first: int = 0, thread: int = 1) -> list[Event]:
    return [
        Event(
            "comment.created",
            (f"thread:{thread}",),
            {"thread": thread, "author": number, "ip": "192.0.2.1"},
            object=f"threads.comment:{number}",
        )
        for number in range(first, first + count)
    ]


def test_a_burst_is_told_in_few_frames_that_count_all_of_it(site: Site) -> None:
    sent = comments(300)
    site.put(*sent)
    site.formatter.start()
    site.wait_until_done()
    frames = site.frames()
    assert sum(data.get("count", 1) for _, data in frames) == 300
    told = [name for _, data in frames for name in data.get("objects", {data["object"]: ""})]
    unlisted = sum(data.get("unlisted", 0) for _, data in frames)
    assert len(told) + unlisted == 300
    assert told == [event.object for event in sent if event.object in told]
    assert [kind for kind, _ in frames[:5]] == ["comment.created"] * 5
    assert "comment.burst" in {kind for kind, _ in frames}
    assert all(data.get("thread") == 1 and "ip" not in data for _, data in frames)
    assert frames[0][1]["author_shown"] == {"name": "Ada"}
    ledger = site.ledger()
    assert ledger.balances
    assert (ledger.published, ledger.suppressed) == (len(frames), 300 - len(frames))


def test_a_deletion_amid_a_burst_is_told_by_itself(site: Site) -> None:
    deleted = Event(
        "comment.deleted", ("thread:1",), {"thread": 1}, object="threads.comment:3", version=9
    )
    site.put(*comments(40), deleted, *comments(40, first=40))
    site.formatter.start()
    site.wait_until_done()
    frames = site.frames()
    counted = [data.get("count", 1) for _, data in frames]
    assert sum(counted) == 81
    alone = [place for place, (kind, _) in enumerate(frames) if kind == "comment.deleted"]
    assert len(alone) == 1
    assert frames[alone[0]][1]["object"] == "threads.comment:3"
    assert sum(counted[: alone[0]]) == 40


def test_each_event_of_a_burst_is_copied_to_the_dark_namespace(site: Site) -> None:
    sent = [*comments(50), *comments(50, thread=2)]
    site.put(*sent)
    site.formatter.start()
    site.wait_until_done()
    site.wait_until(lambda: len(site.dark_ids()) == 100, "all are copied")
    assert site.dark_ids() == {event.id for event in sent}


def test_a_killed_formatter_leaves_a_burst_that_still_counts_to_the_whole(site: Site) -> None:
    put = 0
    for _ in range(2):
        site.put(*comments(60, first=put))
        put += 60
        site.formatter.start()
        site.wait_until(partial(site.has_told_of, put - 59), "work goes on")
        site.formatter.kill()
    site.formatter.start()
    site.wait_until_done()
    assert sum(data.get("count", 1) for _, data in site.frames()) == put
    ids = [data["event_id"] for _, data in site.frames()]
    assert len(set(ids)) == len(ids)
    assert site.ledger().balances


def test_events_above_a_rate_are_booked_as_suppressed(site: Site) -> None:
    site.put(*[Event("typing.now", (f"thread:{n % 2}",), {}) for n in range(20)])
    site.formatter.start()
    site.wait_until_done()
    assert len(site.frames()) == 6
    assert site.ledger().suppressed == 14


def test_a_burst_that_has_grown_too_old_is_booked_as_expired(site: Site) -> None:
    long_ago = "2020-01-01T00:00:00Z"
    site.put(*[Event("view.counted", ("thread:1",), {}, at=long_ago) for _ in range(50)])
    site.formatter.start()
    site.wait_until_done()
    assert site.frames() == []
    assert site.ledger().expired == 50
    assert "could not be collapsed" not in site.formatter.log.read_text()


def test_a_formatter_that_copies_and_counts_ends_at_once(site: Site) -> None:
    site.put(*comments(20), *[Event("typing.now", ("thread:9",), {}) for n in range(5)])
    site.formatter.start()
    site.wait_until_done()
    assert site.formatter.stop() == 0
    assert "jobs given back" in site.formatter.log.read_text()
