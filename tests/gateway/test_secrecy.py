"""No token is ever written to a log, whatever the gateway has to say about its request."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stack.gateway import Gateway
from stack.redis_server import RedisServer
from tests.gateway.conftest import DEADLINE_SECONDS, LogWriter
from tests.gateway.tokens import Signer

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def send(gateway: Gateway, data: bytes) -> None:
    """Sends bytes, reads what comes within a moment, and goes away."""
    host, _, port = gateway.settings.listen.rpartition(":")
    with (
        socket.create_connection((host, int(port)), DEADLINE_SECONDS) as connection,
        # nginx need not read to its end what it refuses.
        suppress(ConnectionError),
    ):
        connection.sendall(data)
        connection.recv(65536)


def requests(token: str) -> Iterator[bytes]:
    """Requests that carry a token, most of which nginx or Lua has something to say about."""
    usual = f"Host: gateway\r\nCookie: a=b; pushgate={token}\r\nAuthorization: Bearer {token}\r\n"
    page = f"Referer: http://site.example/page?token={token}\r\n"
    for target in (
        f"/sub/thread:1?token={token}",
        f"/sub/thread:1?last_event_id=00000000.1-1&token={token}",
        f"/sub/thread:1.b1?token={token}&token=a&TOKEN={token}&%74oken={token}",
        f"/sub/thread:1.b1?token={token}&x?token={token}",
        f"/nothing#?token={token}",
        f"http://gateway/sub/thread:1.b1?token={token}",
        f"/sub/user:1.b5?token={token}",
        f"/sub/Not%20a%20channel?token={token}",
        f"/pub?id=thread:1&token={token}",
        f"/nothing?token={token}",
    ):
        for method in ("GET", "POST", "OPTIONS", "DELETE"):
            for version in ("1.1", "1.0"):
                yield f"{method} {target} HTTP/{version}\r\n{usual}{page}\r\n".encode()
        # Larger than is taken: nginx says so, and quotes the request.
        body = f"POST {target} HTTP/1.1\r\n{usual}{page}Content-Length: 5000000\r\n\r\n"
        yield body.encode()
        yield f"GET {target} HTTP/1.1\r\n{usual}Bad Header: {token}\r\n\r\n".encode()
        yield f"GET {target} HTTP/1.1\r\nHost: a b\r\n\r\n".encode()
        yield f"GET {target} HTTP/1.1\r\n\r\n".encode()
        yield f"GET {target} HTTP/9.9\r\n\r\n".encode()
        yield f"GET {target}\r\n".encode()
        yield f"GET {target} HTTP/1.1\r\n{usual}Expect: {token}\r\n\r\n".encode()
        yield f"GET {target} HTTP/1.1\r\nX: {token * 200}\r\n\r\n".encode()
        yield f"GET {target}{token * 200} HTTP/1.1\r\n\r\n".encode()
        yield f"GE\0T {target} HTTP/1.1\r\n\r\n".encode()
        yield f"GET {target}\0 HTTP/1.1\r\n{usual}\r\n".encode()
        yield f"GET {target} HTTP/1.1\r\nTransfer-Encoding: {token}\r\n\r\n".encode()


def files_of(gateway: Gateway) -> dict[Path, bytes]:
    """Every file the gateway has written."""
    return {path: path.read_bytes() for path in gateway.directory.rglob("*") if path.is_file()}


def test_no_log_holds_a_token(own_guarded: Gateway, own_redis: RedisServer, signer: Signer) -> None:
    token = signer.token("a-user-of-this-test", ["user:*"])
    own_guarded.start()
    LogWriter(own_guarded).append("thread:1", "user:1")
    for request in requests(token):
        send(own_guarded, request)
    own_redis.stop()
    # Every subscription has its line now, with the request behind it.
    for request in requests(token):
        send(own_guarded, request)
    own_guarded.stop()
    log = own_guarded.log.read_text()
    stars = "*" * len(token)
    for said in (
        "client intended to send too large body",
        "a subscriber is asked to come back",
        f'request: "GET /sub/user:1.b5?token={stars} HTTP/1.1"',
        f'request: "GET http://gateway/sub/thread:1.b1?token={stars} HTTP/1.1"',
        f'request: "POST /nothing#?token={stars} HTTP/1.1"',
        f'request: "GET /sub/thread:1?last_event_id=00000000.1-1&token={stars} HTTP/1.1"',
        f'request: "GET /sub/thread:1.b1?token={stars}&token=*&TOKEN={stars}&%74oken={stars} HTTP',
        f'referrer: "http://site.example/page?token={stars}"',
    ):
        assert said in log, said
    for path, data in files_of(own_guarded).items():
        for part in token.split("."):
            assert part.encode() not in data, path
