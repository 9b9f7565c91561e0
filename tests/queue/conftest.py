"""Every test here runs on the job queue in memory, in Redis, in Valkey and in a Redis Cluster."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import redis

from pushgate import (
    Control,
    JobQueue,
    Keys,
    Lease,
    Ledger,
    Log,
    MemoryJobQueue,
    RedisJobQueue,
    RedisLog,
    connect,
    read_ledger,
)
from pushgate.books import Books, BooksReader
from stack.platform import Platform
from stack.process import free_port
from stack.redis_cluster import NODES, RedisCluster
from stack.redis_server import RedisServer

LIMIT = 20
PARTITIONS = 4
IN_MEMORY = "memory"
ON_SERVERS = ("redis", "valkey", "cluster")


@dataclass
class QueueUnderTest:
    """A job queue with what the tests look at.

    Attributes:
        expire: makes a lease run out now.
        books: them, and what they are compared with.
        dead: attempts and reason of each dead letter, first to last.
        client: of Redis; None in memory.
        keys: of Redis; None in memory.
    """

    queue: JobQueue
    log: Log
    ledger: Callable[[], Ledger]
    books: Callable[[], Books]
    expire: Callable[[Lease], None]
    dead: Callable[[], list[tuple[int, str]]]
    client: redis.Redis | None = None
    keys: Keys | None = None


QueueMaker = Callable[[], QueueUnderTest]


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real Valkey for all tests of this process."""
    server = RedisServer(
        Platform.find(),
        tmp_path_factory.mktemp("valkey"),
        free_port(),
        server_command=Platform.valkey_server_command(),
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A real Redis Cluster of three nodes for all tests of this process."""
    ports: set[int] = set()
    while len(ports) < 2 * NODES:
        ports.add(free_port())
    cluster = RedisCluster(Platform.find(), tmp_path_factory.mktemp("cluster"), sorted(ports))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def makers_of_queues(request: pytest.FixtureRequest, kind: str) -> Iterator[QueueMaker]:
    """What makes empty queues, one after the other, of one kind."""
    if kind == IN_MEMORY:
        yield memory_queue
        return
    with connect(url_of(request, kind)) as client:
        yield lambda: redis_queue(client, Keys(f"test-{uuid.uuid4().hex[:12]}"))


def url_of(request: pytest.FixtureRequest, kind: str) -> str:
    """The URL of the servers of one kind, which are started when they do not run yet."""
    fixtures = {"redis": "redis_server", "valkey": "valkey_server", "cluster": "redis_cluster"}
    return str(request.getfixturevalue(fixtures[kind]).url)


@pytest.fixture(params=[IN_MEMORY, *ON_SERVERS])
def make_queue(request: pytest.FixtureRequest) -> Iterator[QueueMaker]:
    """Makes empty queues of `PARTITIONS` partitions of at most `LIMIT` jobs."""
    with makers_of_queues(request, request.param) as make:
        yield make


@pytest.fixture
def under_test(make_queue: QueueMaker) -> QueueUnderTest:
    """A queue with nothing in it."""
    return make_queue()


@pytest.fixture(params=ON_SERVERS)
def on_a_server(request: pytest.FixtureRequest) -> Iterator[QueueUnderTest]:
    """A queue with nothing in it, on each kind of server."""
    with makers_of_queues(request, request.param) as make:
        yield make()


def redis_queue(client: redis.Redis, keys: Keys) -> QueueUnderTest:
    """A queue in a namespace nobody used."""
    control = Control(client, keys, PARTITIONS)

    def expire(lease: Lease) -> None:
        client.delete(keys.lease(lease.name))

    return QueueUnderTest(
        queue=RedisJobQueue(client, keys, partitions=PARTITIONS, limit=LIMIT),
        log=RedisLog(client, keys),
        ledger=lambda: read_ledger(client, keys),
        books=BooksReader(client, keys, PARTITIONS).read,
        expire=expire,
        dead=lambda: [(dead.attempts, dead.reason) for dead in reversed(control.dead_letters())],
        client=client,
        keys=keys,
    )


def memory_queue() -> QueueUnderTest:
    """The twin."""
    memory = MemoryJobQueue(partitions=PARTITIONS, limit=LIMIT)
    return QueueUnderTest(
        queue=memory,
        log=memory.log,
        ledger=memory.ledger,
        books=memory.books,
        expire=lambda lease: memory.leases.expire(lease.name),
        dead=lambda: [(dead.attempts, dead.reason) for dead in memory.dead_letters],
    )
