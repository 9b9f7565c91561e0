"""`pushgate ledger` with real gateways: it asks them, waits for them, and says what they cannot."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stack.gateway import Gateway
from stack.platform import REPOSITORY
from stack.process import free_port
from tests.gateway.conftest import GatewayWith, LogWriter, OwnGateway, Subscriber
from tests.gateway.crowd import Crowd
from tests.gateway.test_ledger import ledger_at_rest
from tests.gateway.thieves import gateway_with as gateway_that_errs

pytestmark = [
    pytest.mark.real_redis,
    pytest.mark.real_gateway,
    pytest.mark.long,
    pytest.mark.timeout(180),
]

KEY = "key-of-the-test"


def pushgate_ledger(
    gateway: Gateway, *more: str, address: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Asks a gateway, over its unix socket unless told another address."""
    settings = gateway.settings
    where = ("--redis", settings.redis_url, "--namespace", settings.namespace)
    asked = ("--gateway", address or f"unix:{gateway.private_socket}")
    return subprocess.run(
        [sys.executable, "-m", "pushgate", "ledger", *where, *asked, *more],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_a_gateways_books_are_the_end_of_the_way(own_gateway: OwnGateway) -> None:
    """With subscribers that came, left and resumed; asked while frames are still on their way."""
    crowd = Crowd(own_gateway, 79, size=6, batch=4, pause_seconds=0.02)
    crowd.start()
    crowd.wait_for_frames(200)
    while_all_moves = pushgate_ledger(own_gateway.gateway, "--check")
    crowd.wait_for_frames(200)
    crowd.finish()
    assert while_all_moves.returncode == 0, while_all_moves.stdout
    ledger_at_rest(own_gateway.gateway)
    ended = pushgate_ledger(own_gateway.gateway, "--check", "--json")
    assert ended.returncode == 0, ended.stdout
    accounts = {account["stage"]: account for account in json.loads(ended.stdout)["accounts"]}
    entries = len(own_gateway.log.entries())
    assert accounts["log"]["whole"] == {"entries given": entries}
    assert accounts["gateway log"]["parts"]["handed over"] == entries
    assert accounts["gateway streams"]["parts"]["audited"] > 0
    assert accounts["gateway frames"]["parts"]["came"] > 0
    (place,) = accounts["gateway place"]["parts"].values()
    assert place == entries


def test_what_a_gateway_lacks_is_waited_for(own_gateway: OwnGateway) -> None:
    for _ in range(20):
        own_gateway.log.append_many([("thread:1",)] * 500)
    ended = pushgate_ledger(own_gateway.gateway, "--check", "--wait", "60")
    assert ended.returncode == 0, ended.stdout


def test_an_entry_that_the_tail_lost_is_found(own_gateway: OwnGateway) -> None:
    old = "entries[#entries + 1] = entry"
    new = "if not entry.frame:find('stolen') then entries[#entries + 1] = entry end"
    with gateway_that_errs(own_gateway, "log_entries.lua", old, new) as thief:
        thief.log.append("thread:1", text="stolen")
        thief.log.append("thread:1", text="left")
        thief.log.wait_until_followed()
        ended = pushgate_ledger(thief.gateway, "--check", "--wait", "0")
        assert ended.returncode == 1
        name = f"unix:{thief.gateway.private_socket}"
        assert f"- gateway log {name}: 1 entries of the log were passed and nothing" in ended.stdout
        assert "Redis gave the log 1 entries more than the gateway has passed" in ended.stdout


def test_a_frame_that_a_subscriber_lacks_is_found(own_gateway: OwnGateway) -> None:
    old = "        text, ends = subscribe.pass(subscriber, block)"
    new = (
        "        if block:find('stolen') then text = ''\n"
        "        else text, ends = subscribe.pass(subscriber, block) end"
    )
    with gateway_that_errs(own_gateway, "engine/push_stream.lua", old, new) as thief:
        subscriber = Subscriber(thief.client("thread:1")).connect()
        for text in ("stolen", "last"):
            thief.log.append("thread:1", text=text)
        subscriber.wait_for(1)
        subscriber.client.close()
        ledger_at_rest(thief.gateway)
        ended = pushgate_ledger(thief.gateway, "--check", "--wait", "0")
        assert ended.returncode == 1
        assert "1 frames never came to streams that they were owed to" in ended.stdout


def test_a_gateway_that_follows_another_log_is_found(gateway: Gateway, log: LogWriter) -> None:
    log.append("thread:1")
    ended = pushgate_ledger(gateway, "--check", "--wait", "0", "--namespace", "another")
    assert ended.returncode == 1
    assert "it cannot be told: it follows epoch" in ended.stdout


def test_an_emptied_redis_begins_books_that_balance(own_gateway: OwnGateway) -> None:
    log = own_gateway.log
    for _ in range(5):
        log.append("thread:1")
    log.wait_until_followed()
    log.client.flushdb()
    for _ in range(3):
        log.append("thread:1")
    ended = pushgate_ledger(own_gateway.gateway, "--check", "--wait", "30")
    assert ended.returncode == 0, ended.stdout


def test_the_environment_names_the_gateway(own_gateway: OwnGateway) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pushgate", "ledger", "--check"],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "PUSHGATE_REDIS_URL": own_gateway.gateway.settings.redis_url,
            "PUSHGATE_PRIVATE_SOCKET": str(own_gateway.gateway.private_socket),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0
    assert "handed over" in ended.stdout


def test_over_tcp_it_brings_the_key(gateway_with: GatewayWith, tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    gateway = gateway_with(PUSHGATE_PRIVATE_LISTEN=listen, PUSHGATE_PRIVATE_KEY=KEY)
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n", encoding="utf-8")
    address = f"http://{listen}"
    by_file = pushgate_ledger(gateway, "--check", "--key-file", str(file), address=address)
    assert by_file.returncode == 0, by_file.stdout
    assert (
        pushgate_ledger(gateway, "--check", address=address, PUSHGATE_PRIVATE_KEY=KEY).returncode
        == 0
    )
    refused = pushgate_ledger(gateway, "--check", "--wait", "0", address=address)
    assert refused.returncode == 2
    assert "answers 401; its key is in the file that --key-file names" in refused.stdout
    assert KEY not in refused.stdout + refused.stderr


def test_a_gateway_that_hangs_is_not_waited_for_longer_than_asked(own_gateway: OwnGateway) -> None:
    workers = own_gateway.gateway.worker_pids
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        ended = pushgate_ledger(own_gateway.gateway, "--check", "--wait", "0")
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    assert ended.returncode == 2
    assert "does not answer: timed out" in ended.stdout
