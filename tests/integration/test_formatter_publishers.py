"""The formatter with publishers: from an event on the queue to a consumer, and the end of both."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pushgate import Event, Keys, PublisherControl, RedisJobQueue
from stack.platform import REPOSITORY
from stack.process import Process, wait_until
from stack.redis_server import RedisServer
from tests.consumer import Consumer

DEADLINE_SECONDS = 90


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    consumer = Consumer()
    yield consumer
    consumer.close()


def formatter_of(
    server: RedisServer, keys: Keys, consumer: Consumer, directory: Path, **environment: str
) -> Process:
    """The formatter in two processes, with a webhook to the consumer."""
    return Process(
        "formatter",
        [
            *(sys.executable, "-m", "formatter", "--processes", "2"),
            *("--pipelines", "tests.integration.publishing_pipelines"),
        ],
        log=directory / "formatter.log",
        directory=REPOSITORY,
        environment={
            **os.environ,
            "PUSHGATE_REDIS_URL": server.url,
            "PUSHGATE_NAMESPACE": keys.namespace,
            "HOOK_URL": consumer.url,
            **environment,
        },
    )


def test_what_is_on_the_queue_reaches_the_consumer_in_order_and_sigterm_ends_it_all(
    redis_server: RedisServer,
    redis_client: redis.Redis,
    keys: Keys,
    consumer: Consumer,
    tmp_path: Path,
) -> None:
    secret = "whsec_" + "A" * 43 + "="
    formatter = formatter_of(redis_server, keys, consumer, tmp_path, HOOK_SECRET=secret)
    queue, control = RedisJobQueue(redis_client, keys), PublisherControl(redis_client, keys)
    formatter.start()
    try:
        wait_until(control.states, DEADLINE_SECONDS, "the webhook has begun")
        for number in range(100):
            queue.put(Event("comment.created", (f"thread:{number % 4}",), {"number": number}))
        wait_until(lambda: len(consumer.items) == 100, DEADLINE_SECONDS, "all arrived")
    finally:
        status = formatter.stop()
    assert status == 0
    expected = {f"thread:{k}": list(range(k, 100, 4)) for k in range(4)}
    assert consumer.first_numbers_by_channel() == expected
    (state,) = control.states()
    assert (state.sent, state.behind, state.holder) == (100, 0, "")
    assert state.balances


def test_a_missing_secret_ends_the_formatter_at_its_start_with_one_sentence(
    redis_server: RedisServer, keys: Keys, consumer: Consumer, tmp_path: Path
) -> None:
    formatter = formatter_of(redis_server, keys, consumer, tmp_path)
    formatter.start()
    wait_until(lambda: not formatter.running, DEADLINE_SECONDS, "the formatter refused to start")
    assert formatter.stop() == 2
    (line,) = formatter.log.read_text().splitlines()
    assert "publisher 'hook': the environment variable HOOK_SECRET is missing" in line
