"""A Redis Cluster of our own: three nodes on this machine, each with a third of the slots, and
replicas when a test wants one."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from stack.errors import StackError
from stack.platform import Platform
from stack.process import wait_until
from stack.redis_server import RedisServer

NODES = 3
SLOTS = 16_384

_MIGRATED_AT_A_TIME = 100
_MIGRATE_TIMEOUT_MS = 5_000


class RedisCluster:
    """Three Redis servers that share the slots.

    Args:
        directory: for a folder of each node.
        ports: two for each node: its own, and the one on which nodes talk to each other.
        node_timeout_ms: a node is thought dead by the others when it was silent for so long; the
            machine may be busy.
    """

    def __init__(
        self,
        platform: Platform,
        directory: Path,
        ports: Sequence[int],
        node_timeout_ms: int = 5_000,
    ) -> None:
        if len(set(ports)) != 2 * NODES:
            raise StackError(f"{NODES} nodes need {2 * NODES} different ports, not {list(ports)}")
        self._ports = list(ports[:NODES])
        self._bus_ports = list(ports[NODES:])
        self._platform = platform
        self._directory = directory
        self._node_timeout_ms = node_timeout_ms
        self.nodes = [
            self._server(f"node-{number}", port, bus_port)
            for number, (port, bus_port) in enumerate(
                zip(self._ports, self._bus_ports, strict=True)
            )
        ]

    @property
    def url(self) -> str:
        """How `pushgate.connect` is told of it."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self._ports)

    def start(self, deadline_seconds: float = 30) -> None:
        """Start the nodes, join them and return when all know of all slots."""
        for node in self.nodes:
            node.start(deadline_seconds)
        clients = [self.client_of(number) for number in range(NODES)]
        for number, client in enumerate(clients):
            first, after_last = SLOTS * number // NODES, SLOTS * (number + 1) // NODES
            _ask(client, "CLUSTER ADDSLOTSRANGE", first, after_last - 1)
            # Nodes with the same epoch would first have to agree who moves on.
            _ask(client, "CLUSTER SET-CONFIG-EPOCH", number + 1)
        for port, bus_port in zip(self._ports[1:], self._bus_ports[1:], strict=True):
            _ask(clients[0], "CLUSTER MEET", "127.0.0.1", port, bus_port)
        wait_until(
            lambda: all(_is_whole(client) for client in clients),
            deadline_seconds,
            "the cluster's nodes know each other and all slots",
        )

    def start_replica(
        self, number: int, port: int, bus_port: int, deadline_seconds: float = 30
    ) -> RedisServer:
        """Start a replica of a node and return it when it has all that the node has."""
        replica = self._server(f"replica-of-{number}", port, bus_port)
        replica.start(deadline_seconds)
        with (
            redis.Redis.from_url(replica.url, socket_timeout=10) as client,
            self.client_of(number) as node,
        ):
            node_id = _id_of(node)
            _ask(client, "CLUSTER MEET", "127.0.0.1", self._ports[number], self._bus_ports[number])
            wait_until(
                lambda: node_id in {n["node_id"] for n in _ask(client, "CLUSTER NODES").values()},
                deadline_seconds,
                "the replica knows its node",
            )
            _ask(client, "CLUSTER REPLICATE", node_id)
            wait_until(
                lambda: _ask(client, "INFO", "replication").get("master_link_status") == "up",
                deadline_seconds,
                "the replica has all that the node has",
            )
        return replica

    def _server(self, name: str, port: int, bus_port: int) -> RedisServer:
        return RedisServer(
            self._platform,
            self._directory / name,
            port,
            settings=(
                "cluster-enabled yes",
                f"cluster-port {bus_port}",
                f"cluster-node-timeout {self._node_timeout_ms}",
            ),
        )

    def stop(self) -> None:
        """Stop the nodes in good order."""
        for node in self.nodes:
            node.stop()

    def client_of(self, number: int) -> redis.Redis:
        """Return a client of one node, which follows nothing."""
        return redis.Redis.from_url(self.nodes[number].url, socket_timeout=10)

    def node_of(self, key: str) -> int:
        """Return the number of the node that has a key's slot."""
        for number in range(NODES):
            with self.client_of(number) as client:
                if key_slot(key.encode()) in _slots_of(client, _id_of(client)):
                    return number
        raise StackError(f"no node has the slot of {key!r}")

    def move(self, key: str, to: int, deadline_seconds: float = 20) -> None:
        """Move the slot of a key, and all that is in it, to another node, as resharding does."""
        slot, source_number = key_slot(key.encode()), self.node_of(key)
        with self.client_of(source_number) as source, self.client_of(to) as target:
            source_id, target_id = map(_id_of, (source, target))
            _ask(target, "CLUSTER SETSLOT", slot, "IMPORTING", source_id)
            _ask(source, "CLUSTER SETSLOT", slot, "MIGRATING", target_id)
            place = ("127.0.0.1", self._ports[to], "", 0, _MIGRATE_TIMEOUT_MS)
            while keys := _ask(source, "CLUSTER GETKEYSINSLOT", slot, _MIGRATED_AT_A_TIME):
                _ask(source, "MIGRATE", *place, "KEYS", *keys)
            # The target first: the source forgets the slot only when somebody has it.
            _ask(target, "CLUSTER SETSLOT", slot, "NODE", target_id)
            _ask(source, "CLUSTER SETSLOT", slot, "NODE", target_id)
        for number in range(NODES):
            with self.client_of(number) as client:
                # Until all agree, what one says of earlier days may undo a move that follows.
                wait_until(
                    partial(_gives_slot_to, client, slot, target_id),
                    deadline_seconds,
                    f"node {number} knows where slot {slot} is",
                )


def _ask(client: redis.Redis, *command: object) -> Any:
    ask: Any = client.execute_command
    return ask(*command)


def _is_whole(client: redis.Redis) -> bool:
    info = _ask(client, "CLUSTER INFO")
    return bool(info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == NODES)


def _id_of(client: redis.Redis) -> str:
    found = _ask(client, "CLUSTER MYID")
    return str(found.decode())


def _gives_slot_to(client: redis.Redis, slot: int, node_id: str) -> bool:
    return slot in _slots_of(client, node_id)


def _slots_of(client: redis.Redis, node_id: str) -> set[int]:
    """The slots of a node, as another, or itself, sees it."""
    for node in _ask(client, "CLUSTER NODES").values():
        if node["node_id"] == node_id:
            return {
                slot for each in node["slots"] for slot in range(int(each[0]), int(each[-1]) + 1)
            }
    return set()
