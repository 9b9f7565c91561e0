"""Every part is killed once while people talk: it comes back, and nothing said is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
import redis

from pushgate import Keys, read_ledger
from stack.health import page_is_served
from stack.process import wait_until
from tests.end_to_end.conftest import DEADLINE_SECONDS, Reader, System

pytestmark = pytest.mark.whole_system

Read = Callable[..., Reader]


def wait_for(reader: Reader, texts: list[str]) -> None:
    wait_until(lambda: reader.texts() == texts, DEADLINE_SECONDS, f"the reader has {texts}")


def kill(system: System, part: str) -> int:
    pid = system.run.pid(part)
    os.kill(pid, signal.SIGKILL)
    return pid


def wait_until_back(system: System, part: str, killed: int) -> None:
    wait_until(lambda: system.run.pid(part) != killed, DEADLINE_SECONDS, f"{part} is started again")


@pytest.mark.parametrize("part", ["formatter", "relay", "gateway", "redis"])
def test_what_is_said_while_a_part_is_dead_arrives(system: System, read: Read, part: str) -> None:
    thread = system.new_thread()
    reader = read(thread)
    system.say(thread, "before")
    wait_for(reader, ["before"])
    killed = kill(system, part)
    system.say(thread, "meanwhile")
    wait_until_back(system, part, killed)
    system.say(thread, "after")
    wait_for(reader, ["before", "meanwhile", "after"])


def test_the_site_comes_back_and_its_readers_hear_it(system: System, read: Read) -> None:
    thread = system.new_thread()
    reader = read(thread)
    system.say(thread, "before")
    killed = kill(system, "site")
    wait_until_back(system, "site", killed)
    wait_until(
        lambda: page_is_served(f"{system.site}/"), DEADLINE_SECONDS, "the site serves its pages"
    )
    system.say(thread, "after")
    wait_for(reader, ["before", "after"])


def test_a_save_succeeds_while_redis_does_not_answer(system: System, read: Read) -> None:
    thread = system.new_thread()
    reader = read(thread)
    pid = system.run.pid("redis")
    os.kill(pid, signal.SIGSTOP)
    try:
        for n in range(3):
            system.say(thread, f"comment {n}")
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(reader, ["comment 0", "comment 1", "comment 2"])


def test_the_books_balance_when_all_is_quiet(system: System, read: Read) -> None:
    thread = system.new_thread()
    reader = read(thread)
    with redis.Redis.from_url(system.run.redis_url) as client:
        before = read_ledger(client, Keys())
        system.say(thread, "the last word")
        wait_for(reader, ["the last word"])
        after = read_ledger(client, Keys())
    assert before.balances
    assert after.balances
    assert after.queued == 0
    # Another test may have made a dead letter on purpose.
    assert after.dead == before.dead
    assert after.published > before.published
