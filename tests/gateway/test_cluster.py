"""A gateway on a Redis Cluster: it finds the namespace's node and follows it wherever it goes."""

import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from stack.gateway import Gateway, GatewaySettings
from stack.platform import Platform
from stack.process import free_port, wait_until
from stack.redis_cluster import NODES, RedisCluster
from stack.redis_server import RedisServer
from tests.gateway.conftest import DEADLINE_SECONDS, LogWriter, OwnGateway, Subscriber
from tests.gateway.crowd import Crowd

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(180)]


class ClusterLogWriter(LogWriter):
    """Appends to a log whose node may be on its way to another place."""

    answer_seconds = 1.0

    # A repeat is another entry of the log, which is what the subscribers are compared with.
    def append(self, *channels: str, history_length: int = 100_000, **data: object) -> str:
        until = time.monotonic() + DEADLINE_SECONDS
        data.setdefault("n", next(self._numbers))
        while True:
            try:
                return super().append(*channels, history_length=history_length, **data)
            except redis.RedisError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def append_many(self, frames: Sequence[tuple[str, ...]]) -> None:
        """See `LogWriter.append_many`; one after the other, as the slot allows."""
        for channels in frames:
            self.append(*channels, kind="last" if channels[0].endswith("last") else "usual")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    ports: set[int] = set()
    while len(ports) < 2 * NODES:
        ports.add(free_port())
    made = RedisCluster(
        Platform.find(), tmp_path_factory.mktemp("cluster"), sorted(ports), node_timeout_ms=1500
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def gateway_on(
    engine: str, cluster: RedisCluster, tmp_path: Path
) -> Iterator[Callable[[str], OwnGateway]]:
    """Starts a gateway that is told of the cluster by a URL."""
    started: list[Gateway] = []

    def start(url: str) -> OwnGateway:
        settings = GatewaySettings(
            listen=f"127.0.0.1:{free_port()}",
            redis_url=url,
            namespace=f"gateway-{tmp_path.name[-20:].lower().replace('[', '').strip('_-.')}",
            workers="2",
            engine=engine,
            more={
                "PUSHGATE_RETRY_MIN_MS": "50",
                "PUSHGATE_RETRY_MAX_MS": "100",
                "PUSHGATE_POLL_SECONDS": "1",
            },
        )
        started.append(Gateway(Platform.find(), tmp_path / "g", settings))
        started[-1].start()
        return OwnGateway(started[-1], cluster.nodes[0], ClusterLogWriter(started[-1]))

    yield start
    for gateway in started:
        gateway.stop()


GatewayOn = Callable[[str], OwnGateway]


def others_than(number: int) -> tuple[int, int]:
    """The numbers of the other nodes."""
    return (number + 1) % NODES, (number + 2) % NODES


def test_any_node_leads_to_the_namespace(cluster: RedisCluster, gateway_on: GatewayOn) -> None:
    """Each worker asks a node that does not have it."""
    own = gateway_on(cluster.url)
    stranger = others_than(cluster.node_of(own.log.keys.log))[0]
    own.gateway.stop()
    own = gateway_on(f"redis+cluster://127.0.0.1:{cluster._ports[stranger]}")
    subscriber = Subscriber(own.client("thread:1")).connect()
    before = own.log.append("thread:1", n=1)
    assert own.gateway.private("POST", "/pub?id=thread:1", '{"n": 2}').status == 200
    resumed = Subscriber(own.client("thread:1", before)).connect()
    subscriber.wait_for(2)
    resumed.wait_for(1)
    assert (subscriber.numbers(), resumed.numbers()) == ([1, 2], [2])
    for each in (subscriber, resumed):
        each.client.close()


def test_a_slot_that_moves_under_load_costs_no_frame(
    cluster: RedisCluster, gateway_on: GatewayOn
) -> None:
    own = gateway_on(cluster.url)
    crowd = Crowd(own, 81, size=6, batch=4, pause_seconds=0.005, pollers=3)
    crowd.start()
    home = cluster.node_of(own.log.keys.log)
    for number in (*others_than(home), home):
        crowd.wait_for_frames(100)
        cluster.move(own.log.keys.log, number)
        crowd.wait_for_frames(100)
        own.log.wait_until_followed_past(own.log.now())
    crowd.finish()


@pytest.fixture
def replica(cluster: RedisCluster) -> Iterator[Callable[[int], RedisServer]]:
    """Starts a replica of a node."""
    started: list[RedisServer] = []

    def start(number: int) -> RedisServer:
        started.append(cluster.start_replica(number, free_port(), free_port()))
        return started[-1]

    yield start
    for server in started:
        os.kill(server.pid, signal.SIGCONT)
        server.kill()


def test_a_node_that_hands_over_or_freezes_costs_latency_alone(
    cluster: RedisCluster, gateway_on: GatewayOn, replica: Callable[[int], RedisServer]
) -> None:
    """The URL names one of the two, and no other. A frozen node still accepts connections."""
    own = gateway_on(cluster.url)
    number = cluster.node_of(own.log.keys.log)
    own.gateway.stop()
    other = replica(number)
    own = gateway_on(other.url.replace("redis:", "redis+cluster:").removesuffix("/0"))
    crowd = Crowd(own, 83, size=6, batch=4, pause_seconds=0.005, pollers=3)
    crowd.start()
    crowd.wait_for_frames(100)
    node = cluster.client_of(number)
    with redis.Redis.from_url(other.url, socket_timeout=10) as client:
        fail_over(client)
        crowd.wait_for_frames(100)
        crowd.finish()

        cursor = own.log.append("thread:1", n=1)
        subscriber = Subscriber(own.client("thread:1", cursor)).connect()
        wait_until(
            lambda: int(info_of(client)["connected_slaves"]) == 1,
            DEADLINE_SECONDS,
            "the old node replicates the new one",
        )
        caught_up = client.execute_command("WAIT", 1, 10_000)
        assert caught_up == 1
    os.kill(other.pid, signal.SIGSTOP)
    wait_until(
        lambda: info_of(node)["role"] == "master",
        DEADLINE_SECONDS,
        "the old node is the new one again",
    )
    own.log.append("thread:1", n=2)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [2]
    assert subscriber.events[0].id.partition(".")[0] == cursor.partition(".")[0]
    own.gateway.wait_until_ready(DEADLINE_SECONDS)
    subscriber.client.close()


def info_of(client: redis.Redis) -> dict[str, Any]:
    """How a node replicates."""
    info: dict[str, Any] = client.info("replication")
    return info


def fail_over(client: redis.Redis) -> None:
    """Has a replica take its node's place, in good order."""
    command: Any = client.execute_command
    command("CLUSTER FAILOVER")
    wait_until(
        lambda: info_of(client)["role"] == "master", DEADLINE_SECONDS, "the replica is the node"
    )


def test_a_redis_that_is_no_cluster_is_said_to_be_none(own_gateway: OwnGateway) -> None:
    own_gateway.gateway.stop()
    settings = own_gateway.gateway.settings
    url = settings.redis_url.replace("redis:", "redis+cluster:")
    gateway = Gateway(
        Platform.find(), own_gateway.gateway.directory, dataclasses.replace(settings, redis_url=url)
    )
    gateway.launch()
    wait_until(
        lambda: (
            gateway.private_socket.exists()
            and b"cluster support disabled" in gateway.private("GET", "/readyz").body
        ),
        DEADLINE_SECONDS,
        "the gateway says what is wrong",
    )
    gateway.stop()
