"""Has Redis write its append-only file anew when a part of a transaction may lie in it.

What a script writes is one transaction in the file. Where the file ends within one (a loss of
power, kill -9 in the middle of a write, a full disk), the next start of Redis 7 and 8 cuts off the
command that is not whole, leaves those of the transaction before it, does none of them, and writes
on behind them. The start after that finds a transaction within one that never ended, says so in its
log, and does both: a part of what a script did is done a second time, an event comes twice. A file
that was written anew has no such part.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import gevent
import redis
from redis.exceptions import NoPermissionError

from pushgate import Keys
from pushgate.cluster import ClusterClient

logger = logging.getLogger("formatter")

LOOK_SECONDS = 0.5
"""Until then, a Redis that dies a second time may do a part twice."""

TRY_AGAIN_SECONDS = 10.0


class AppendOnlyFile:
    """Looks after the file of the Redis that has a namespace. Any number may look at once.

    Args:
        client: for that Redis.
        keys: of the namespace; in a Redis Cluster they tell the node.
    """

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._life = ""
        self._anew_after = 0
        self._ask_again_at = 0.0
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin to look, in a greenlet."""
        self._greenlet = gevent.spawn(self.run)
        self._greenlet.name = "append-only file"

    def stop(self) -> None:
        """Look no more."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def run(self) -> None:
        """Look again and again; return when Redis lets nobody ask."""
        while True:
            try:
                if self.look():
                    logger.info("Redis has started, or can write again: its file is written anew")
            except redis.RedisError as error:
                # All others pass, and are told of by those who need Redis' answers.
                if isinstance(error, NoPermissionError) or "unknown command" in str(error):
                    logger.warning(
                        "Redis does not let the formatter have its append-only file written anew "
                        "(INFO, BGREWRITEAOF): %s; see to it after each loss of the file's end",
                        error,
                    )
                    return
            gevent.sleep(LOOK_SECONDS)

    def look(self) -> bool:
        """Ask for the file anew where it is due: once in a life of Redis, and after failed writes.

        Returns:
            Whether it was asked for.

        Raises:
            RedisError: Redis did not answer, or does not let this client ask.
        """
        node = self._node()
        # The client knows no types for what INFO tells.
        facts: Any = self._client.info("server", "persistence", **node)
        if not facts.get("aof_enabled") or facts["loading"]:
            return False
        if facts["run_id"] != self._life:
            self._life, self._anew_after, self._ask_again_at = facts["run_id"], 0, 0.0
        if facts["aof_last_write_status"] != "ok":
            # It asks for nothing while the disk is full; there may be room later.
            self._anew_after = facts["aof_rewrites"]
            return False
        if facts["aof_rewrite_in_progress"] or facts["aof_rewrite_scheduled"]:
            return False
        is_anew = facts["aof_rewrites"] > self._anew_after
        if is_anew and facts["aof_last_bgrewrite_status"] == "ok":
            return False
        now = time.monotonic()
        if now < self._ask_again_at:
            return False
        self._ask_again_at = now + TRY_AGAIN_SECONDS
        try:
            self._client.bgrewriteaof(**node)
        except redis.ResponseError as error:
            if "in progress" in str(error):
                # Another one asked in this moment.
                return False
            raise
        return True

    def _node(self) -> dict[str, Any]:
        if isinstance(self._client, ClusterClient):
            return {"target_nodes": self._client.get_node_from_key(self._keys.log)}
        return {}
