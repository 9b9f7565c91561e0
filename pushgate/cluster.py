"""A client for a Redis Cluster that behaves as the one for a single Redis does.

All keys of a namespace share one hash tag, so one node of the cluster has them all and a script may
touch any of them. redis-py's `RedisCluster` finds that node and follows the namespace when it is
moved or its node fails over; what is made to fit here is when it connects, what it repeats and what
it raises.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot
from redis.exceptions import RedisClusterException
from redis.retry import Retry

Address = tuple[str, int]


class ClusterClient:
    """Looks for the cluster at the first command, as other clients connect at theirs.

    Every command of redis-py is an attribute of it; a command has its keys in one namespace.

    Args:
        addresses: of nodes to ask for the others; one that answers is enough.
        options: for the connections to each node.
    """

    def __init__(self, addresses: Sequence[Address], options: Mapping[str, Any]) -> None:
        self._addresses = tuple(addresses)
        self._options = dict(options)
        self._opening = threading.Lock()
        self._cluster: _Cluster | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found(), name)

    def __enter__(self) -> ClusterClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; the next command opens them anew."""
        with self._opening:
            if self._cluster is not None:
                self._cluster.close()
                self._cluster = None

    def _found(self) -> _Cluster:
        with self._opening:
            if self._cluster is None:
                self._cluster = _Cluster(self._addresses, self._options)
            return self._cluster


class _Cluster(RedisCluster):
    """redis-py's client, which would repeat commands and raise what is no RedisError."""

    def __init__(self, addresses: Sequence[Address], options: Mapping[str, Any]) -> None:
        try:
            super().__init__(
                startup_nodes=[
                    ClusterNode(host, port)  # type: ignore[no-untyped-call]
                    for host, port in addresses
                ],
                # Whoever calls knows whether a repeat is harmless. A command sent on to another
                # node because the slot has moved is no repeat: the first node refused it.
                retry=Retry(NoBackoff(), 0),
                **options,
            )
        except RedisClusterException as error:
            raise _no_cluster(error) from None
        look_for_nodes = self.nodes_manager.initialize

        def look_for_nodes_again(*arguments: Any, **keywords: Any) -> None:
            try:
                look_for_nodes(*arguments, **keywords)
            except RedisClusterException as error:
                raise _no_cluster(error) from None

        # Called by redis-py in the middle of a command whose node has gone.
        self.nodes_manager.initialize = look_for_nodes_again  # type: ignore[method-assign]

    def determine_slot(self, *arguments: Any) -> int | None:
        """The slot of a command's keys. Spares XREAD the question to a node where its keys are."""
        if arguments[0] == "XREAD":
            key = arguments[arguments.index(b"STREAMS") + 1]
            return key_slot(key.encode() if isinstance(key, str) else key)
        found: int | None = super().determine_slot(*arguments)
        return found


def _no_cluster(error: RedisClusterException) -> redis.ConnectionError:
    return redis.ConnectionError(f"the cluster's nodes cannot be found: {error}")
