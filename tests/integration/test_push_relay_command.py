"""`manage.py push_relay` as a process: ended, killed, and run once."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from example_site.threads.models import Comment, Thread
from pushgate import Keys, connect, read_ledger
from stack.platform import REPOSITORY
from stack.process import Process, wait_until
from tests.integration.conftest import site_environment

pytestmark = pytest.mark.real_redis

StartRelay = Callable[..., Process]


@pytest.fixture
def start_relay(
    site_database: str,
    push_settings: dict[str, Any],
    tmp_path: Path,
) -> Iterator[StartRelay]:
    """Starts `manage.py push_relay` on the test's database and Redis."""
    environment = {
        **os.environ,
        **site_environment(site_database, push_settings),
        "STATE_DIR": str(tmp_path / "state"),
    }
    started: list[Process] = []

    def start(*options: str) -> Process:
        relay = Process(
            f"relay {len(started)}",
            (sys.executable, "example_site/manage.py", "push_relay", *options),
            log=tmp_path / f"relay-{len(started)}.log",
            directory=REPOSITORY,
            environment=environment,
        )
        relay.start()
        started.append(relay)
        return relay

    yield start
    for relay in started:
        relay.stop()


@pytest.fixture
def accepted(push_settings: dict[str, Any]) -> Callable[[], int]:
    """How many events are on the queue or were."""
    client, keys = connect(push_settings["REDIS_URL"]), Keys(push_settings["NAMESPACE"])
    return lambda: read_ledger(client, keys).accepted


def say(text: str) -> None:
    thread, _ = Thread.objects.get_or_create(title="A thread")
    Comment.objects.create(thread=thread, author="Ada", text=text)


def test_it_ends_with_status_0_when_asked(
    start_relay: StartRelay, accepted: Callable[[], int], push_settings: dict[str, Any]
):
    relay = start_relay()
    say("one")
    wait_until(lambda: accepted() == 1, 60, "the comment was relayed")
    assert relay.stop() == 0
    client, keys = connect(push_settings["REDIS_URL"]), Keys(push_settings["NAMESPACE"])
    assert not client.exists(keys.lease("relay")), "the next one need not wait for the lease's end"


def test_another_takes_over_from_one_that_was_killed(
    start_relay: StartRelay, accepted: Callable[[], int]
):
    leader = start_relay()
    say("one")
    wait_until(lambda: accepted() == 1, 60, "the comment was relayed")
    start_relay()
    leader.kill()
    say("two")
    wait_until(lambda: accepted() == 2, 60, "the standby has taken over")


def test_once_moves_what_is_there_and_ends(start_relay: StartRelay, accepted: Callable[[], int]):
    say("one")
    say("two")
    relay = start_relay("--once")
    wait_until(lambda: not relay.running, 60, "push_relay --once has ended")
    assert relay.stop() == 0
    assert "Moved 2 rows." in relay.log.read_text()
    assert accepted() == 2
