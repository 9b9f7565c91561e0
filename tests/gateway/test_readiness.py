"""/readyz says whether subscribers get what is published; /healthz whether nginx works."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from stack.gateway import Gateway
from stack.platform import Platform
from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, OwnGateway, Subscriber

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(120)]


def sentence(gateway: Gateway) -> str:
    """What /readyz says when it is not ready; "" when it is. /healthz is well all the time."""
    assert gateway.private("GET", "/healthz").status == 200
    answer = gateway.private("GET", "/readyz")
    assert answer.status in (200, 503)
    return "" if answer.status == 200 else answer.body.decode()


def wait_until_it_says(gateway: Gateway, words: str) -> None:
    def says() -> bool:
        said = sentence(gateway)
        return words in said if words else not said

    wait_until(says, DEADLINE_SECONDS, f"/readyz says {words or 'that it is ready'!r}")


def reload(gateway: Gateway) -> None:
    """Returns when the old workers are gone."""
    before = set(gateway.worker_pids)
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until(
        lambda: not before & set(gateway.worker_pids), DEADLINE_SECONDS, "the old workers are gone"
    )


def test_it_is_not_ready_while_redis_is_away_whatever_is_reloaded(own_gateway: OwnGateway) -> None:
    gateway, server, log = own_gateway.gateway, own_gateway.redis_server, own_gateway.log
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    log.append("thread:1", n=1)
    subscriber.wait_for(1)
    server.kill()
    wait_until_it_says(gateway, "the log is not followed")
    reload(gateway)
    for _ in range(20):
        assert sentence(gateway)
    server.start()
    wait_until_it_says(gateway, "")
    log.append("thread:1", n=2)
    subscriber.wait_until_ended()
    subscriber.connect().wait_for(2)
    assert subscriber.numbers() == [1, 2]
    subscriber.client.close()


def test_a_reload_alone_leaves_it_ready(own_gateway: OwnGateway) -> None:
    gateway = own_gateway.gateway
    reload(gateway)
    wait_until_it_says(gateway, "")
    now = own_gateway.log.append("thread:1")
    wait_until(
        lambda: gateway.private("GET", "/readyz").body.decode() == f"ready at {now}\n",
        DEADLINE_SECONDS,
        "the new workers follow the log",
    )


def test_it_is_not_ready_while_redis_hangs(own_gateway: OwnGateway) -> None:
    server_pid = own_gateway.redis_server.pid
    os.kill(server_pid, signal.SIGSTOP)
    try:
        wait_until_it_says(own_gateway.gateway, "not followed")
    finally:
        os.kill(server_pid, signal.SIGCONT)
    wait_until_it_says(own_gateway.gateway, "")


@pytest.fixture
def narrow_gateway(own_gateway: OwnGateway) -> Iterator[OwnGateway]:
    """One whose engine has room for a few frames alone."""
    own_gateway.gateway.stop()
    settings = own_gateway.gateway.settings
    narrow = Gateway(
        Platform.find(),
        own_gateway.gateway.directory,
        replace(settings, more={**settings.more, "PUSHGATE_ENGINE_MEMORY": "4m"}),
    )
    narrow.start()
    try:
        yield OwnGateway(narrow, own_gateway.redis_server, own_gateway.log)
    finally:
        narrow.stop()


def test_it_is_not_ready_while_the_engine_is_full(narrow_gateway: OwnGateway) -> None:
    log = narrow_gateway.log
    subscriber = Subscriber(narrow_gateway.client("thread:1")).connect()
    for _ in range(45):
        log.append("thread:1", text="x" * 60_000)
    wait_until_it_says(narrow_gateway.gateway, "the engine answered 500")
    subscriber.wait_for(45)
    wait_until_it_says(narrow_gateway.gateway, "")
    assert subscriber.numbers() == list(range(1, 46))
    subscriber.client.close()
