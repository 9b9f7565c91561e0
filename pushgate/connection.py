"""The one way Pushgate opens Redis: with a deadline on everything."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

import redis
from redis.connection import SSLConnection, parse_url

from pushgate.cluster import Address, ClusterClient
from pushgate.errors import InvalidSetting

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
"""How long an answer may take. A blocking read must ask for less than this."""

LONGEST_BLOCK_SECONDS = 2.0

CLUSTER = "redis+cluster", "rediss+cluster"
"""The schemes of a Redis Cluster's URL, without and with TLS."""

_DEFAULT_PORT = 6379


def connect(
    url: str, *, connect_seconds: float = CONNECT_SECONDS, answer_seconds: float = ANSWER_SECONDS
) -> redis.Redis:
    """A client for the Redis at `url`; it connects at the first command. Answers are bytes.

    Commands are not repeated by the client: whoever calls knows whether a repeat is harmless.

    Args:
        url: `redis://host:6379/0`, `rediss://` with TLS, `unix://`; or a Redis Cluster by some of
            its nodes, `redis+cluster://host:7000,other:7000` (`rediss+cluster://`). What one writes
            into the former (user, password, options behind `?`) goes into the latter too.
        connect_seconds: how long it may take to connect.
        answer_seconds: how long an answer may take.

    Raises:
        InvalidSetting: the URL is not one of Redis'.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": connect_seconds,
        "socket_timeout": answer_seconds,
        "health_check_interval": 15,
    }
    try:
        if url.partition("://")[0] in CLUSTER:
            addresses, of_url = _cluster_in(url)
            # Not a subclass of Redis, but every command of it is there.
            return cast(redis.Redis, ClusterClient(addresses, {**options, **of_url}))
        return redis.Redis.from_url(url, **options, retry=None, retry_on_timeout=False)
    except ValueError as error:
        raise InvalidSetting(f"PUSHGATE_REDIS_URL {_without_password(url)!r}: {error}") from None


def away(error: redis.RedisError) -> str:
    """The sentence for who sees that Redis failed: no address, which may hold a password."""
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return f"Redis cannot be reached ({type(error).__name__})."
    return f"Redis refused: {' '.join(str(error).split())[:200]}."


def _cluster_in(url: str) -> tuple[list[Address], dict[str, Any]]:
    """The nodes a cluster's URL names, and what else it says, for their connections.

    Raises:
        ValueError: it names none, or says what a cluster does not know.
    """
    scheme, _, rest = url.partition("+cluster://")
    named = urlsplit(f"{scheme}://{rest}")
    login, at, nodes = named.netloc.rpartition("@")
    addresses: list[Address] = []
    of_url: dict[str, Any] = {}
    for node in nodes.split(","):
        of_url = parse_url(  # type: ignore[no-untyped-call]
            f"{scheme}://{login}{at}{node}?{named.query}"
        )
        host = of_url.pop("host", None)
        if not host:
            raise ValueError("name nodes of the cluster, redis+cluster://host:7000,other:7000 say")
        addresses.append((host, of_url.pop("port", _DEFAULT_PORT)))
    if named.path not in ("", "/", "/0") or of_url.pop("db", 0):
        raise ValueError(f"a cluster has one database only; leave {named.path or 'db'} out")
    if of_url.pop("connection_class", None) is SSLConnection:
        of_url["ssl"] = True
    return addresses, of_url


def _without_password(url: str) -> str:
    named = urlsplit(url)
    login, at, place = named.netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    return url.replace(f"{login}{at}", f"{user}{colon}***{at}", 1) if colon else url
