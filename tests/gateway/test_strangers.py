"""Channel names that strangers make up cost no lasting memory."""

import json
import socket
from contextlib import ExitStack

import pytest

from stack.gateway import Gateway
from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, GatewayWith

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

CONNECTIONS = 1500
CHANNELS = 16


def channel_count(gateway: Gateway) -> int:
    return int(json.loads(gateway.private("GET", "/channels-stats").body)["channels"])


def test_made_up_channels_are_forgotten(gateway_with: GatewayWith) -> None:
    gateway = gateway_with()
    host, _, port = gateway.settings.listen.rpartition(":")
    before = channel_count(gateway)
    with ExitStack() as connections:
        for number in range(CONNECTIONS):
            names = "/".join(f"thread:{number}-{n}" for n in range(CHANNELS))
            connection = socket.create_connection((host, int(port)), DEADLINE_SECONDS)
            connections.enter_context(connection)
            connection.sendall(f"GET /sub/{names} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
        wait_until(
            lambda: channel_count(gateway) >= CONNECTIONS * CHANNELS,
            DEADLINE_SECONDS,
            "all of them are known",
        )
    wait_until(lambda: channel_count(gateway) <= before, 40, "all of them are forgotten")


def test_no_more_channels_are_taken_than_memory_is_for(gateway_with: GatewayWith) -> None:
    """Frames need memory too. Whoever finds none may come back."""
    gateway = gateway_with(PUSHGATE_ENGINE_MEMORY="2m")
    host, _, port = gateway.settings.listen.rpartition(":")
    answers = []
    with ExitStack() as connections:
        for number in range(200):
            names = "/".join(f"thread:{number}-{n}" for n in range(CHANNELS))
            connection = socket.create_connection((host, int(port)), DEADLINE_SECONDS)
            connections.enter_context(connection)
            connection.sendall(f"GET /sub/{names} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
            answers.append(connection.recv(4096))
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
    refused = [answer for answer in answers if b'{"reason":"unavailable"}' in answer]
    assert 50 < len(refused) < 100
    assert gateway.private("GET", "/readyz").status == 200
