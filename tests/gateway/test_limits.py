"""Too many, of one address or altogether, or too fast: refused in a way that EventSource comes back
from; and no count outlives what it counts."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadtest.eventsource import EventSourceClient
from stack.gateway import Gateway
from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, GatewayWith
from tests.gateway.tokens import Signer

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

PROXY = {"PUSHGATE_TRUSTED_PROXIES": "127.0.0.1 10.0.0.0/8"}


class Crowd:
    """Streams of one gateway, opened one by one."""

    def __init__(self) -> None:
        self._clients = ExitStack()

    def leave(self) -> None:
        """Closes all of them."""
        self._clients.close()

    def reason(self, gateway: Gateway, address: str = "", token: str = "") -> str:
        """Connects once more and returns why it was refused, or "" when it was let in."""
        headers = {"X-Forwarded-For": address} if address else {}
        if token:
            headers["Cookie"] = f"pushgate={token}"
        client = EventSourceClient(f"{gateway.url}/sub/thread:1", headers=headers)
        self._clients.enter_context(client)
        events = client.connect()
        while client.connected and client.parser.blocks == 0:
            events += client.read(DEADLINE_SECONDS)
        self.last = client
        if not events:
            assert client.last_event_id
            return ""
        assert [event.type for event in events] == ["error"]
        assert (client.parser.retry_ms or 0) >= 2000
        while client.connected:
            assert not client.read(DEADLINE_SECONDS)
        return str(json.loads(events[0].data)["reason"])


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    crowd = Crowd()
    yield crowd
    crowd.leave()


def test_an_address_has_so_many_streams_and_no_more(
    gateway_with: GatewayWith, crowd: Crowd
) -> None:
    gateway = gateway_with(PUSHGATE_MAX_STREAMS_PER_ADDRESS="2", **PROXY)
    assert [crowd.reason(gateway, "198.51.100.7") for _ in range(4)] == [
        "",
        "",
        "address_limit",
        "address_limit",
    ]
    assert crowd.reason(gateway, "198.51.100.8") == ""
    # A client may write what it likes in front of what the proxy adds.
    assert crowd.reason(gateway, "203.0.113.9, 198.51.100.7, 10.1.2.3") == "address_limit"
    # One machine has all of an IPv6 network's addresses.
    assert crowd.reason(gateway, "2001:db8:1:2::1") == ""
    assert crowd.reason(gateway, "2001:db8:1:2:ffff::2") == ""
    assert crowd.reason(gateway, "2001:db8:1:2::3") == "address_limit"
    assert crowd.reason(gateway, "2001:db8:1:3::3") == ""
    # The same IPv4 address, written otherwise.
    assert crowd.reason(gateway, "::ffff:198.51.100.7") == "address_limit"


def test_a_user_has_so_many_streams_and_no_more(
    gateway_with: GatewayWith, crowd: Crowd, tmp_path: Path
) -> None:
    signer = Signer(tmp_path / "keys.json")
    signer.write()
    gateway = gateway_with(PUSHGATE_MAX_STREAMS_PER_USER="2", PUSHGATE_TOKEN_KEYS=str(signer.path))
    wait_until(
        lambda: crowd.reason(gateway, token=signer.token("anna")) == "",
        DEADLINE_SECONDS,
        "tokens can be verified",
    )
    assert crowd.reason(gateway, token=signer.token("anna")) == ""
    assert crowd.reason(gateway, token=signer.token("anna")) == "user_limit"
    assert crowd.reason(gateway, token=signer.token("ben")) == ""
    assert crowd.reason(gateway) == ""


def test_this_machine_itself_is_not_counted(gateway_with: GatewayWith, crowd: Crowd) -> None:
    gateway = gateway_with(PUSHGATE_MAX_STREAMS_PER_ADDRESS="1")
    assert [crowd.reason(gateway, "198.51.100.7") for _ in range(3)] == [""] * 3


def test_who_leaves_makes_room(gateway_with: GatewayWith, crowd: Crowd) -> None:
    gateway = gateway_with(PUSHGATE_MAX_STREAMS_PER_ADDRESS="1", **PROXY)
    assert crowd.reason(gateway, "198.51.100.7") == ""
    leaving = crowd.last
    assert crowd.reason(gateway, "198.51.100.7") == "address_limit"
    leaving.close()
    wait_until(
        lambda: crowd.reason(gateway, "198.51.100.7") == "", DEADLINE_SECONDS, "there is room"
    )


def test_the_gateway_has_so_many_streams_and_no_more(
    gateway_with: GatewayWith, crowd: Crowd
) -> None:
    gateway = gateway_with(PUSHGATE_MAX_STREAMS="5")
    assert [crowd.reason(gateway) for _ in range(7)] == [""] * 5 + ["full"] * 2


def test_a_worker_keeps_some_connections_for_itself(
    gateway_with: GatewayWith, crowd: Crowd
) -> None:
    """At its own end nginx would drop connections without a word."""
    gateway = gateway_with(PUSHGATE_WORKERS="1", PUSHGATE_CONNECTIONS="96")
    reasons = [crowd.reason(gateway) for _ in range(36)]
    assert reasons == [""] * 32 + ["full"] * 4
    assert "worker_connections" not in gateway.log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("PUSHGATE_CONNECTS_PER_SECOND", ""),
        ("PUSHGATE_ADDRESS_CONNECTS_PER_SECOND", "198.51.100.7"),
    ],
)
def test_who_comes_too_fast_comes_later(
    gateway_with: GatewayWith, crowd: Crowd, setting: str, address: str
) -> None:
    gateway = gateway_with(**{setting: "2"}, **PROXY)
    reasons = [crowd.reason(gateway, address) for _ in range(12)]
    assert reasons[:2] == ["", ""]
    assert set(reasons) == {"", "rate"}
    wait_until(lambda: crowd.reason(gateway, address) == "", DEADLINE_SECONDS, "it is let in")


def test_a_killed_worker_takes_its_counts_along(gateway_with: GatewayWith, crowd: Crowd) -> None:
    gateway = gateway_with(PUSHGATE_MAX_STREAMS_PER_ADDRESS="6", **PROXY)
    for pid in gateway.worker_pids:
        while crowd.reason(gateway, "198.51.100.7") == "":
            pass
        os.kill(pid, signal.SIGKILL)

    def has_all_its_room() -> bool:
        crowd.leave()
        reasons = [crowd.reason(gateway, "198.51.100.7") for _ in range(7)]
        return reasons == [*[""] * 6, "address_limit"]

    wait_until(has_all_its_room, DEADLINE_SECONDS, "there is as much room as at first")
