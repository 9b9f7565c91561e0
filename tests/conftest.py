"""What every test may ask for: a real Redis, and a namespace of its own in it."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pushgate import Keys, connect
from stack.platform import Platform
from stack.process import free_port
from stack.redis_server import RedisServer


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where processes share the tests (`make test`), has them begin with the long files, so that
    at the end none of them works alone; the order stays random otherwise."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real Redis for all tests of this process, on a port of its own."""
    directory: Path = tmp_path_factory.mktemp("redis")
    server = RedisServer(Platform.find(), directory, free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may stop, kill, empty and set back."""
    server = RedisServer(Platform.find(), tmp_path / "own-redis", free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_namespace() -> str:
    """A namespace that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def keys(redis_namespace: str) -> Keys:
    """The keys of that namespace."""
    return Keys(redis_namespace)


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client as every part has one."""
    with connect(redis_server.url) as client:
        yield client
