"""A Redis whose file lost its end, and one whose disk was full, have their file written anew."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import redis

from formatter.append_only_file import AppendOnlyFile
from pushgate import Keys
from stack.process import wait_until
from stack.redis_server import RedisServer

pytestmark = pytest.mark.real_redis

KEYS = Keys("own")
# What a script does is one transaction in the file; the second command is the one that is cut.
TWO_STEPS = "redis.call('INCR', KEYS[1]); redis.call('SET', KEYS[2], ARGV[1])"


class Told:
    """A Redis that tells other things of itself than it is."""

    def __init__(self, **told: Any) -> None:
        self.asked = 0
        self.told = {
            "run_id": "first",
            "loading": 0,
            "aof_enabled": 1,
            "aof_last_write_status": "ok",
            "aof_last_bgrewrite_status": "ok",
            "aof_rewrites": 0,
            "aof_rewrite_in_progress": 0,
            "aof_rewrite_scheduled": 0,
            **told,
        }

    def info(self, *sections: str) -> dict[str, Any]:
        return self.told

    def bgrewriteaof(self) -> None:
        self.asked += 1
        self.told["aof_rewrites"] += 1


@pytest.fixture
def client(own_redis: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_redis.url, retry=None) as client:
        yield client


def is_written_anew(client: redis.Redis) -> bool:
    facts: Any = client.info("persistence")
    return bool(facts["aof_rewrites"]) and not facts["aof_rewrite_in_progress"]


def test_nothing_is_done_twice_after_the_files_end_was_lost(
    own_redis: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    client.eval(TWO_STEPS, 2, "done", "text", "x" * 1000)
    own_redis.kill()
    (increment,) = (tmp_path / "own-redis" / "appendonlydir").glob("*.incr.aof")
    os.truncate(increment, increment.stat().st_size - 500)
    own_redis.start()
    assert client.get("done") is None
    file = AppendOnlyFile(client, KEYS)
    assert file.look()
    wait_until(lambda: is_written_anew(client), 10, "the file is written anew")
    assert not file.look()
    client.eval(TWO_STEPS, 2, "done", "text", "y")
    own_redis.kill()
    own_redis.start()
    assert client.get("done") == b"1"


def test_it_is_asked_for_once_in_each_life() -> None:
    told = Told()
    file = AppendOnlyFile(told, KEYS)  # type: ignore[arg-type]
    assert [file.look(), file.look()] == [True, False]
    told.told |= {"run_id": "second", "aof_rewrites": 0}
    assert [file.look(), file.look()] == [True, False]


def test_it_is_asked_for_when_there_is_room_again() -> None:
    told = Told(aof_rewrites=3)
    file = AppendOnlyFile(told, KEYS)  # type: ignore[arg-type]
    assert not file.look()
    told.told |= {"aof_last_write_status": "err"}
    assert not file.look()
    told.told |= {"aof_last_write_status": "ok"}
    assert [file.look(), file.look()] == [True, False]


def test_one_that_failed_is_asked_for_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    file = AppendOnlyFile(told, KEYS)  # type: ignore[arg-type]
    assert file.look()
    told.told |= {"aof_last_bgrewrite_status": "err"}
    assert not file.look()
    monkeypatch.setattr(time, "monotonic", lambda: float("inf"))
    assert file.look()


@pytest.mark.parametrize(
    "told",
    [
        {"aof_enabled": 0},
        {"loading": 1},
        {"aof_rewrite_in_progress": 1},
        {"aof_rewrite_scheduled": 1},
        {"aof_rewrites": 1},
    ],
)
def test_it_is_left_alone_while_it_is_not_due(told: dict[str, Any]) -> None:
    assert not AppendOnlyFile(Told(**told), KEYS).look()  # type: ignore[arg-type]


def test_who_may_not_ask_says_so_and_stops(
    own_redis: RedisServer, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.acl_setuser("may-not", enabled=True, nopass=True, commands=["+info"], keys=["*"])
    forbidden = redis.Redis.from_url(own_redis.url, username="may-not", password="any")
    with forbidden, caplog.at_level(logging.WARNING):
        AppendOnlyFile(forbidden, KEYS).run()
    (line,) = caplog.messages
    assert "does not let the formatter have its append-only file written anew" in line


def test_who_lost_redis_for_a_moment_looks_again(
    own_redis: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(Exception):
        pass

    def enough() -> None:
        raise Enough

    meanwhile = iter([own_redis.kill, lambda: None, own_redis.start, enough])
    monkeypatch.setattr(gevent, "sleep", lambda _: next(meanwhile)())
    with pytest.raises(Enough):
        AppendOnlyFile(client, KEYS).run()
    wait_until(lambda: is_written_anew(client), 10, "the new life's file is written anew")
