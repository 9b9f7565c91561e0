"""Publishers in processes of their own, on a real Redis, with real consumers."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from formatter.publishers.window import MOST_SLOTS
from pushgate import Event, Keys, publish_straight
from pushgate.positions import lease_name
from pushgate.publisher_control import PublisherControl, PublisherState
from stack.platform import REPOSITORY
from stack.process import Process, wait_until
from stack.redis_server import RedisServer
from tests.consumer import Answer, Consumer, Received

pytestmark = [pytest.mark.real_redis, pytest.mark.long]

DEADLINE_SECONDS = 90
SECRET = "whsec_" + "A" * 43 + "="


class Site:
    """A log, consumers of it, and processes that publish to them."""

    def __init__(
        self, server: RedisServer, client: redis.Redis, keys: Keys, directory: Path
    ) -> None:
        self.client = client
        self.keys = keys
        self.control = PublisherControl(client, keys)
        self.consumers: list[Consumer] = []
        self.processes: list[Process] = []
        self._configuration: list[Any] = []
        self._server = server
        self._directory = directory
        self._published = 0

    def webhook(self, name: str, **options: Any) -> Consumer:
        """One more publisher, and its consumer."""
        consumer = Consumer()
        self.consumers.append(consumer)
        settings = {"secret_variable": "SECRET", "channels": ["thread:*"], **options}
        self._configuration.append(["Webhook", name, consumer.url, settings])
        return consumer

    def hub(self, name: str) -> Consumer:
        """One more publisher: pings for a hub."""
        hub = Consumer()
        self.consumers.append(hub)
        settings = {"topic": "https://example.org/threads/{id}/feed", "channels": ["thread:*"]}
        self._configuration.append(["WebSub", name, hub.url, settings])
        return hub

    def start(self) -> Process:
        """One more process with all publishers."""
        number = len(self.processes)
        process = Process(
            f"publishing {number}",
            [sys.executable, "-m", "tests.integration.publishing", json.dumps(self._configuration)],
            log=self._directory / f"publishing-{number}.log",
            directory=REPOSITORY,
            environment={
                **os.environ,
                "PUSHGATE_REDIS_URL": self._server.url,
                "PUSHGATE_NAMESPACE": self.keys.namespace,
                "SECRET": SECRET,
            },
        )
        process.start()
        self.processes.append(process)
        return process

    def start_and_wait(self) -> Process:
        """As `start`; all publishers have begun when it returns."""
        process = self.start()
        count = len(self._configuration)
        self.wait_until(lambda: len(self.states()) == count, "all publishers have begun")
        return process

    def publish(self, count: int, threads: int = 1) -> None:
        """Appends so many frames to the log, numbered on from the last."""
        for number in range(self._published, self._published + count):
            channel = f"thread:{number % threads}"
            event = Event("comment.created", (channel,), {"number": number})
            publish_straight(self.client, self.keys, event)
        self._published += count

    def expected(self, threads: int) -> dict[str, list[int]]:
        """Everything published, by channel."""
        return {f"thread:{k}": list(range(k, self._published, threads)) for k in range(threads)}

    def states(self) -> dict[str, PublisherState]:
        """Each publisher as an operator sees it."""
        return {state.name: state for state in self.control.states()}

    def holders(self) -> dict[str, str]:
        """Who runs each publisher that anybody runs."""
        return {name: state.holder for name, state in self.states().items() if state.holder}

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Waits for the condition, with the deadline of these tests."""
        wait_until(condition, DEADLINE_SECONDS, what)

    def wait_until_done(self, *names: str) -> None:
        """Waits until these publishers have booked the whole log, and looks at their books."""
        self.wait_until(
            lambda: all(self.states()[name].behind == 0 for name in names), f"{names} are done"
        )
        for name in names:
            assert self.states()[name].balances


@pytest.fixture
def site(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> Iterator[Site]:
    site = Site(redis_server, redis_client, keys, tmp_path)
    yield site
    for process in site.processes:
        process.stop()
    for consumer in site.consumers:
        consumer.close()


def has_ended(process: Process) -> bool:
    """Whether the process runs no more."""
    return not process.running


def holds(request: Received, number: int) -> bool:
    """Whether the request holds the item of this number."""
    return any(item["data"].get("number") == number for item in request.items)


@pytest.mark.parametrize("batch", [1, 100])
def test_a_process_killed_between_sending_and_booking_loses_nothing(site: Site, batch: int) -> None:
    consumer = site.webhook("hook", batch=batch)
    to_be_killed: list[Process] = []

    def kill_at_some(request: Received) -> Answer:
        if to_be_killed and any(holds(request, number) for number in (37, 150, 260)):
            to_be_killed.pop().kill()
        return Answer()

    consumer.answer = kill_at_some
    to_be_killed.append(site.start_and_wait())
    for _ in range(3):
        running = site.processes[-1]
        site.publish(100, threads=5)
        site.wait_until(partial(has_ended, running), "it was killed")
        to_be_killed.append(site.start())
    to_be_killed.clear()
    site.wait_until_done("hook")
    assert consumer.first_numbers_by_channel() == site.expected(5)
    sent = Counter(consumer.numbers())
    assert max(sent.values()) <= 4, "each death repeats an item once"
    assert sum(sent.values()) <= 300 + 3 * MOST_SLOTS
    assert site.states()["hook"].sent == 300


def test_a_hub_that_fails_and_a_consumer_that_hangs_hold_up_nobody_else(site: Site) -> None:
    healthy = site.webhook("healthy")
    hanging = site.webhook("hanging", batch=10)
    hub = site.hub("hub")
    hub.answer = lambda _: Answer(500)
    let_go = threading.Event()

    def hang(_: Received) -> Answer:
        let_go.wait(DEADLINE_SECONDS)
        return Answer()

    hanging.answer = hang
    site.start_and_wait()
    site.publish(300, threads=7)
    site.wait_until_done("healthy")
    assert healthy.first_numbers_by_channel() == site.expected(7)
    assert len(healthy.numbers()) == 300
    assert site.states()["hanging"].behind == 300
    assert site.states()["hub"].sent == 0
    let_go.set()
    hub.answer = lambda _: Answer(202)
    site.wait_until_done("hanging", "hub")
    assert hanging.first_numbers_by_channel() == site.expected(7)
    pinged = {request.form["hub.url"][0] for request in hub.received}
    assert pinged == {f"https://example.org/threads/{n}/feed" for n in range(7)}


def test_publishers_are_shared_and_move_when_a_process_dies(site: Site) -> None:
    consumers = [site.webhook(f"hook-{n}") for n in range(4)]
    first = site.start_and_wait()
    site.start()
    site.wait_until(
        lambda: sorted(Counter(site.holders().values()).values()) == [2, 2], "two share them"
    )
    first.kill()
    site.publish(20)
    site.wait_until(
        lambda: list(Counter(site.holders().values()).values()) == [4], "the other runs all"
    )
    site.wait_until_done(*site.states())
    assert [consumer.first_numbers_by_channel() for consumer in consumers] == [site.expected(1)] * 4


def test_a_process_that_slept_past_its_lease_books_nothing_and_sends_no_more(site: Site) -> None:
    consumer = site.webhook("hook")
    zombie = site.start_and_wait()
    site.publish(20, threads=3)
    site.wait_until_done("hook")
    owner = site.holders()["hook"]
    os.kill(zombie.pid, signal.SIGSTOP)
    site.start()
    site.publish(20, threads=3)
    site.wait_until(
        lambda: site.holders().get("hook", owner) != owner, "the other process took over"
    )
    os.kill(zombie.pid, signal.SIGCONT)
    site.publish(20, threads=3)
    site.wait_until_done("hook")
    assert consumer.first_numbers_by_channel() == site.expected(3)
    assert len(consumer.numbers()) == 60, "each once: the sleeper had nothing under way"
    assert site.states()["hook"].sent == 60


def test_a_process_told_to_stop_books_what_it_sent_and_gives_its_leases_back(site: Site) -> None:
    consumer = site.webhook("hook")
    process = site.start_and_wait()
    under_way, let_go = threading.Event(), threading.Event()

    def hold(request: Received) -> Answer:
        if holds(request, 0):
            under_way.set()
            let_go.wait(DEADLINE_SECONDS)
        return Answer()

    consumer.answer = hold
    site.publish(3)
    assert under_way.wait(DEADLINE_SECONDS)
    os.kill(process.pid, signal.SIGTERM)
    let_go.set()
    assert process.stop() == 0
    state = site.states()["hook"]
    assert state.holder == ""
    assert site.client.exists(site.keys.lease(lease_name("hook"))) == 0
    assert state.sent >= 1
    site.start()
    site.wait_until_done("hook")
    assert consumer.numbers() == [0, 1, 2], "nothing twice"


def test_a_publisher_that_cannot_go_on_is_started_anew_and_ends_nobody_else(site: Site) -> None:
    broken, healthy = site.webhook("broken"), site.webhook("healthy")
    process = site.start_and_wait()
    site.wait_until(lambda: site.states()["broken"].resets == 1, "its first turn is booked")
    site.client.delete(site.keys.publisher("broken"))
    site.client.set(site.keys.publisher("broken"), "no books at all")
    site.publish(10)
    site.wait_until(lambda: healthy.numbers() == list(range(10)), "the healthy one is done")
    site.client.delete(site.keys.publisher("broken"))
    site.client.hdel(site.keys.publishers, "broken")
    site.wait_until(lambda: "broken" in site.states(), "the broken one begins anew")
    site.publish(1)
    site.wait_until(lambda: 10 in broken.numbers(), "and sends again")
    assert process.running
    assert "Traceback" in process.log.read_text()
