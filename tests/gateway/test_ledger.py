"""The gateway's part of the books: it balances whatever happens, and it notices what is stolen."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stack.gateway import Gateway
from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, OwnGateway, Subscriber
from tests.gateway.crowd import Crowd
from tests.gateway.thieves import gateway_with

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(180)]


def ledger(gateway: Gateway) -> dict[str, Any]:
    """The books as they are now."""
    answer = gateway.private("GET", "/ledger")
    assert answer.status == 200
    books: dict[str, Any] = json.loads(answer.body)
    return books


def ledger_when(
    gateway: Gateway, holds: Callable[[dict[str, Any]], bool], what: str
) -> dict[str, Any]:
    """The books once something holds: the other worker's counts come within a second."""
    books: dict[str, Any] = {}

    def read() -> bool:
        books.clear()
        books.update(ledger(gateway))
        return holds(books)

    try:
        wait_until(read, DEADLINE_SECONDS, what)
    except Exception as error:
        raise AssertionError(f"{what}: {books}") from error
    return books


def ledger_at_rest(gateway: Gateway) -> dict[str, Any]:
    """The books when all streams have ended."""
    return ledger_when(gateway, lambda books: books["streams"]["open"] == 0, "no stream is open")


def wait_until_gone(pid: int) -> None:
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), DEADLINE_SECONDS, f"{pid} is gone")


def test_the_books_balance_after_drops_and_resumes(own_gateway: OwnGateway) -> None:
    crowd = Crowd(own_gateway, 71, size=12, batch=20)
    crowd.start()
    crowd.wait_for_frames(3_000)
    crowd.finish()
    books = ledger_at_rest(own_gateway.gateway)
    assert books["balances"], json.dumps(books)
    assert books["log"]["handed_over"] == len(own_gateway.log.entries())
    assert books["streams"]["ended"] > 2 * len(crowd.wanderers)
    assert books["streams"]["unaudited"] == 0
    assert books["frames"]["owed"] > 0
    assert books["frames"]["replayed"] > 0


def test_each_delivery_is_booked_once(own_gateway: OwnGateway) -> None:
    gateway, log = own_gateway.gateway, own_gateway.log
    subscribers = [Subscriber(own_gateway.client("thread:1")).connect() for _ in range(5)]
    of_two = Subscriber(own_gateway.client("thread:1/thread:2")).connect()
    cursor = log.now()
    for _ in range(10):
        log.append("thread:1", "thread:2")
        log.append("thread:2")
    of_two.wait_for(20)
    for subscriber in subscribers:
        subscriber.wait_for(10)
    resumed = Subscriber(own_gateway.client("thread:2", cursor)).connect()
    resumed.wait_for(20)
    for subscriber in [*subscribers, of_two, resumed]:
        subscriber.client.close()
    books = ledger_at_rest(gateway)
    assert books["balances"], json.dumps(books)
    assert books["log"]["entries"] == 20
    assert books["streams"]["audited"] == 7
    assert (books["frames"]["live"], books["frames"]["replayed"]) == (5 * 10 + 20, 20)


def test_the_books_balance_when_workers_end(own_gateway: OwnGateway) -> None:
    """One is killed, and then all go at a reload."""
    gateway, log = own_gateway.gateway, own_gateway.log
    crowd = Crowd(own_gateway, 73, size=12, batch=8, pause_seconds=0.005)
    crowd.start()
    crowd.wait_for_frames(300)
    (killed, _) = gateway.worker_pids
    os.kill(killed, signal.SIGKILL)
    wait_until_gone(killed)
    log.wait_until_followed_past(log.now())
    before = gateway.worker_pids
    os.kill(gateway.pid, signal.SIGHUP)
    for pid in before:
        wait_until_gone(pid)
    crowd.wait_for_frames(300)
    log.wait_until_followed_past(log.now())
    crowd.finish()
    books = ledger_at_rest(gateway)
    assert books["balances"], json.dumps(books)
    assert books["log"]["handed_over"] == len(log.entries())
    assert books["workers_killed"] == 1
    assert books["frames"]["owed"] > 0


def test_malformed_entries_have_a_column(own_gateway: OwnGateway) -> None:
    log = own_gateway.log
    log.append("thread:1")
    log.client.xadd(log.keys.log, {"a": "b"})
    log.client.xadd(log.keys.log, {"channels": "X Y", "frame": "data: {}\n\n"})
    log.append("thread:1")
    log.client.xadd(log.keys.log, {"a": "b"})
    log.wait_until_followed()
    books = ledger(own_gateway.gateway)
    assert books["balances"], json.dumps(books)
    assert (books["log"]["entries"], books["log"]["malformed"]) == (5, 3)


def test_a_lost_log_begins_a_new_page(own_gateway: OwnGateway) -> None:
    log = own_gateway.log
    epoch = log.epoch()
    for _ in range(5):
        log.append("thread:1")
    log.wait_until_followed()
    log.client.delete(log.keys.log)
    log.append("thread:1")
    log.append("thread:1")
    # Whoever has to connect anew looks where the log is.
    log.client.client_kill_filter(_type="normal", skipme=True)
    books = ledger_when(
        own_gateway.gateway, lambda books: "entries" in books["log"], "the tail has found out"
    )
    assert books["balances"], json.dumps(books)
    assert log.epoch() != epoch


def test_what_was_cut_off_unread_has_a_column(own_gateway: OwnGateway) -> None:
    log, gateway = own_gateway.log, own_gateway.gateway
    log.append("thread:1")
    log.wait_until_followed()
    workers = gateway.worker_pids
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    # The blocked read would get the first of them.
    log.client.client_kill_filter(_type="normal", skipme=True)
    for _ in range(7):
        log.append("thread:1")
    log.client.xtrim(log.keys.log, 3, approximate=False)
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    log.append("thread:1")
    books = ledger_when(gateway, lambda books: books["log"].get("cut", 0) > 0, "the cut is booked")
    log.wait_until_followed()
    books = ledger(gateway)
    assert books["balances"], json.dumps(books)
    assert books["log"]["entries"] == 9


def test_an_entry_stolen_from_the_tail_is_noticed(own_gateway: OwnGateway) -> None:
    old = "entries[#entries + 1] = entry"
    new = "if not entry.frame:find('stolen') then entries[#entries + 1] = entry end"
    with gateway_with(own_gateway, "log_entries.lua", old, new) as thief:
        assert ledger(thief.gateway)["balances"]
        thief.log.append("thread:1", text="stolen")
        thief.log.append("thread:1", text="left")
        thief.log.wait_until_followed()
        books = ledger(thief.gateway)
        assert not books["balances"]
        assert (books["log"]["entries"], books["log"]["difference"]) == (2, 1)


def test_a_frame_stolen_from_one_subscriber_is_noticed(own_gateway: OwnGateway) -> None:
    old = "        text, ends = subscribe.pass(subscriber, block)"
    new = (
        "        if block:find('stolen') and not ngx.shared.pushgate_state:get('stolen') then\n"
        "            ngx.shared.pushgate_state:set('stolen', true)\n"
        "            text = ''\n"
        "        else\n"
        "            text, ends = subscribe.pass(subscriber, block)\n"
        "        end"
    )
    with gateway_with(own_gateway, "engine/push_stream.lua", old, new) as thief:
        subscribers = [Subscriber(thief.client("thread:1")).connect() for _ in range(3)]
        for text in ("first", "stolen", "last"):
            thief.log.append("thread:1", text=text)
        for subscriber in subscribers:
            while not subscriber.events or "last" not in subscriber.events[-1].data:
                subscriber.wait_for(len(subscriber.events) + 1)
            subscriber.client.close()
        assert sorted(len(subscriber.events) for subscriber in subscribers) == [2, 3, 3]
        books = ledger_at_rest(thief.gateway)
        assert not books["balances"]
        assert books["log"]["balances"]
        assert books["frames"]["short"] == 1


def test_a_stream_that_lacks_its_last_frame_is_ended_and_resumes(own_gateway: OwnGateway) -> None:
    """Nothing comes behind the stolen frame, so only a look at rest can find it."""
    settings = own_gateway.gateway.settings
    own_gateway.gateway.settings = replace(
        settings, more={**settings.more, "PUSHGATE_PING_SECONDS": "1"}
    )
    old = "        text, ends = subscribe.pass(subscriber, block)"
    new = (
        "        if block:find('stolen') then text = ''\n"
        "        else text, ends = subscribe.pass(subscriber, block) end"
    )
    with gateway_with(own_gateway, "engine/push_stream.lua", old, new) as thief:
        subscriber = Subscriber(thief.client("thread:1")).connect()
        cursor = thief.log.append("thread:1", text="stolen")
        subscriber.wait_until_ended()
        assert subscriber.client.last_event_id != cursor
        subscriber.connect()
        subscriber.wait_for(1)
        assert subscriber.client.last_event_id == cursor
        subscriber.client.close()
        books = ledger_at_rest(thief.gateway)
        # It resumed from before the frame: nothing was lost.
        assert books["balances"]
        assert "lacks a frame behind" in thief.gateway.log.read_text(encoding="utf-8")


def test_a_busy_stream_that_lacks_a_frame_is_told(own_gateway: OwnGateway) -> None:
    """The engine has forgotten it in one of its channels; the other one takes it past the frame."""
    settings = own_gateway.gateway.settings
    own_gateway.gateway.settings = replace(
        settings, more={**settings.more, "PUSHGATE_PING_SECONDS": "1"}
    )
    old = "        text, ends = subscribe.pass(subscriber, block)"
    new = (
        "        if block:find('stolen') then text = ''\n"
        "        else text, ends = subscribe.pass(subscriber, block) end"
    )
    with gateway_with(own_gateway, "engine/push_stream.lua", old, new) as thief:
        subscriber = Subscriber(thief.client("thread:1/thread:2")).connect()
        single = Subscriber(thief.client("thread:2")).connect()
        thief.log.append("thread:2", n=1)
        thief.log.append("thread:1", text="stolen", n=2)
        last = thief.log.append("thread:2", n=3)
        subscriber.wait_until_ended()
        assert [event.type for event in subscriber.events][2:] == ["reset"]
        told = subscriber.events[-1]
        assert json.loads(told.data)["reason"] == "history"
        assert subscriber.client.last_event_id == told.id == last
        subscriber.connect()
        thief.log.append("thread:1", n=4)
        subscriber.wait_for(4)
        single.wait_for(2)
        assert subscriber.numbers() == [1, 3, 4]
        for each in (subscriber, single):
            each.client.close()
        # It was told: nothing was lost without a word.
        assert ledger_at_rest(thief.gateway)["balances"]
        assert "is told and begins anew" in thief.gateway.log.read_text(encoding="utf-8")
