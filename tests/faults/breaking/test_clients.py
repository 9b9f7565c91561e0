"""Floods against a real gateway: they are counted, end by themselves, and harm nobody else."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from pushgate.keys import Keys
from stack.errors import StackError
from stack.gateway import Gateway, GatewaySettings
from stack.platform import Platform
from stack.process import free_port
from stack.redis_server import RedisServer
from tests.faults.breaking.clients import KINDS, Flood, FloodSettings
from tests.faults.breaking.test_links import joined


@pytest.fixture
def gateway(
    redis_server: RedisServer, redis_client: redis.Redis, redis_namespace: str, tmp_path: Path
) -> Iterator[Gateway]:
    gateway = Gateway(
        Platform.find(),
        tmp_path / "g",
        GatewaySettings(
            listen=f"127.0.0.1:{free_port()}",
            redis_url=redis_server.url,
            namespace=redis_namespace,
            workers="1",
        ),
    )
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()
        redis_client.delete(*redis_client.keys(f"{Keys(redis_namespace).log.rpartition(':')[0]}*"))


def flood_of(gateway: Gateway, seconds: float = 2.0, clients: int = 200) -> FloodSettings:
    port = int(gateway.settings.listen.rpartition(":")[2])
    return FloodSettings(port, "/sub/thread:1", clients=clients, seconds=seconds, seed=3)


def test_a_flood_is_answered_and_a_quiet_reader_beside_it_gets_its_frame(
    gateway: Gateway, tmp_path: Path
) -> None:
    flood = Flood(tmp_path, flood_of(gateway))
    with closing(joined(flood.settings.port)) as quiet:
        quiet.sendall(b"GET /sub/thread:1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        flood.start()
        assert gateway.private("POST", "/pub?id=thread:1", b'{"text":"hello"}').status == 200
        got = b""
        while b'"text":"hello"' not in got:
            got += quiet.recv(65_536)
        count = flood.wait()
    assert set(count.kinds) == set(KINDS)
    assert count.clients >= 200
    assert count.answers["200"] > 0
    assert count.answers["400"] > 0
    assert not any(status.startswith("5") for status in count.answers)
    assert count.refused == 0
    assert gateway.is_ready()


def test_a_flood_against_nobody_is_refused_and_ends(tmp_path: Path) -> None:
    flood = Flood(tmp_path, FloodSettings(free_port(), "/", clients=20, seconds=0.5))
    flood.start()
    count = flood.wait()
    assert count.refused == count.clients >= 20
    assert not count.answers


def test_a_flood_that_cannot_work_says_so(tmp_path: Path) -> None:
    flood = Flood(tmp_path, FloodSettings(-1, "/", clients=1, seconds=0.5))
    flood.start()
    with pytest.raises(StackError, match="the flood failed"):
        flood.wait()
