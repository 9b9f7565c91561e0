"""Whether a running part does its work, asked from outside."""

import http.client
import socket
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import redis

ASK_SECONDS = 2.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout_seconds: float = ASK_SECONDS) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def page_is_served(url: str) -> bool:
    """Return whether GET of the address answers 200."""
    address = urlsplit(url)
    if address.hostname is None:
        return False
    return _answers_ok(
        http.client.HTTPConnection(address.hostname, address.port, timeout=ASK_SECONDS),
        address.path or "/",
    )


def page_is_served_by(unix_socket: Path, path: str) -> bool:
    """Return whether GET of the path answers 200 on a unix socket."""
    return _answers_ok(UnixConnection(unix_socket), path)


def _answers_ok(connection: http.client.HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def redis_is_ours(url: str, configuration: Path) -> bool:
    """Return whether the Redis there answers and was started with this configuration file.

    Another checkout's Redis on the same port would answer PING just as well.
    """
    try:
        with _redis(url) as client:
            return bool(client.info("server").get("config_file") == str(configuration))
    except redis.RedisError:
        return False


def keys_exist(url: str, keys: Iterable[str]) -> bool:
    """Return whether all the keys exist: leases that somebody alive keeps renewing."""
    names = list(keys)
    try:
        with _redis(url) as client:
            return bool(client.exists(*names) == len(names))
    except redis.RedisError:
        return False


def _redis(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_timeout=ASK_SECONDS, socket_connect_timeout=ASK_SECONDS, decode_responses=True
    )
