"""What is private stays so, however it is asked for; and the private TCP listener wants its key."""

import json
import os
import socket
import subprocess
import uuid
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from stack.gateway import Gateway, GatewaySettings, gateway_environment
from stack.platform import REPOSITORY, Platform
from stack.process import free_port
from stack.redis_server import RedisServer
from tests.gateway.conftest import DEADLINE_SECONDS, LogWriter, Subscribe

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

METHODS = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"),
    *("PROPFIND", "MKCOL", "COPY", "MOVE", "PURGE", "get", "post", "Delete", "X"),
)
PRIVATE = ("pub", "channels-stats", "healthz", "readyz", "metrics", "frames", "all", "statistics")
LOCATIONS = PRIVATE[:4]
KEY = "the-private-key-of-this-test"


def exchange(listen: str, request: bytes) -> bytes:
    """Sends bytes and returns all that is answered until the other side closes."""
    host, _, port = listen.rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as connection:
        connection.sendall(request)
        # nginx would otherwise wait for more.
        connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            pass
    return received


def spellings(name: str, channel: str) -> Iterator[str]:
    """Ways to write the address of a private location that a server might take for it."""
    query = f"?id={channel}"
    encoded = "".join(f"%{ord(char):02x}" for char in name)
    for path in (
        *(f"/{name}", f"/{name}/", f"//{name}", f"/./{name}", f"/x/../{name}", f"/{encoded}"),
        *(f"/%2f{name}", f"/%2e/{name}", f"/{name.upper()}", f"/{name}%00", f"/{name}%20"),
        *(f"/{name};a=b", f"/{name}.json", f"/{name}%23", f"/\\{name}", f"/{name}/../{name}"),
        *(f"/sub/../{name}", f"/sub/%2e%2e/{name}", f"/sub/..%2f{name}", f"/sub//../../{name}"),
        *(f"/sub/{channel}/../../{name}", f"/sub/%2e%2e%2f{name}", f"/sub/..;/{name}"),
        *(f"/engine/{name}", f"/private/{name}", f"/@{name}", f"{name}", f"*/{name}"),
        *(f"/sub/x%3fy/../../{name}", f"/sub/x#/../{name}", f"/{name}#x"),
    ):
        yield path + query
    for host in ("gateway", "engine", "localhost", "unix", "127.0.0.1"):
        yield f"http://{host}/{name}{query}"
        yield f"https://{host}:443/{name}{query}"
        yield f"http://{host}/sub/../{name}{query}"


HOSTS = (
    "gateway",
    "engine",
    "localhost",
    "unix:/private.sock",
    "[::1]",
    "127.0.0.1:80",
    "",
)
TRICKS = (
    "X-Original-URL: /pub?id=a\r\nX-Rewrite-URL: /pub?id=a\r\n",
    "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n",
    "X-HTTP-Method-Override: POST\r\nX-HTTP-Method: DELETE\r\n",
    f"Authorization: Bearer {KEY}\r\n",
    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "X-Nginx-PushStream-Mode: long-polling\r\n",
)
SECRETS = (b"published_messages", b"subscribers", b"\nalive", b"ready at", b"# HELP", b"workers")


def is_harmless(answer: bytes) -> bool:
    """Whether nothing in an answer is status, and every status line is a refusal or a stream."""
    return not any(secret in answer for secret in SECRETS)


def test_nothing_private_is_reached_by_any_spelling(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    before = log.now()
    body = '{"n": "forged"}'
    for name in PRIVATE:
        for target in spellings(name, channel):
            for method, version in (("GET", "1.1"), ("POST", "1.1"), ("DELETE", "1.0")):
                answer = exchange(
                    gateway.settings.listen,
                    f"{method} {target} HTTP/{version}\r\nHost: gateway\r\nConnection: close\r\n"
                    f"Event-Id: {uuid.uuid4().hex}\r\nContent-Length: {len(body)}\r\n\r\n"
                    f"{body}".encode(),
                )
                assert is_harmless(answer), (method, target, answer)
                assert answer.split(b" ")[1] in (b"400", b"403", b"404", b"405", b"413"), (
                    method,
                    target,
                    answer,
                )
    assert log.now() == before
    log.append(channel, n=1)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [1]


def test_nothing_private_is_reached_by_any_method_host_or_header(
    gateway: Gateway, log: LogWriter, channel: str
) -> None:
    before = log.now()
    for name, method in product(PRIVATE, METHODS):
        for host, tricks in [(host, "") for host in HOSTS] + [("gateway", t) for t in TRICKS]:
            answer = exchange(
                gateway.settings.listen,
                f"{method} /{name}?id={channel} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
                f"{tricks}Content-Length: 2\r\n\r\n{{}}".encode(),
            )
            assert is_harmless(answer), (method, name, host, tricks, answer)
            assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 405"), answer
    assert log.now() == before


def test_no_request_hides_behind_another(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    before = log.now()
    hidden = (
        f"POST /pub?id={channel} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 2\r\n\r\n{{}}"
        f"POST /frames?id={channel} HTTP/1.1\r\nHost: engine\r\nContent-Length: 2\r\n\r\n{{}}"
        "GET /channels-stats?id=ALL HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
    )
    for first in (
        "GET / HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "GET /sub/Bad HTTP/1.1\r\nHost: gateway\r\n\r\n",
        f"OPTIONS /sub/{channel} HTTP/1.1\r\nHost: gateway\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(hidden)}\r\n\r\n",
        f"POST /sub/{channel} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        answer = exchange(gateway.settings.listen, (first + hidden).encode())
        assert is_harmless(answer), (first, answer)
    assert log.now() == before
    log.append(channel, n=1)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [1]


@pytest.fixture(scope="module")
def tcp_gateway(
    engine: str, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with a private listener over TCP."""
    settings = GatewaySettings(
        listen=f"127.0.0.1:{free_port()}",
        redis_url=redis_server.url,
        namespace=f"private-{uuid.uuid4().hex[:8]}",
        workers="1",
        engine=engine,
        more={
            "PUSHGATE_PRIVATE_LISTEN": f"127.0.0.1:{free_port()}",
            "PUSHGATE_PRIVATE_KEY": KEY,
        },
    )
    own = Gateway(Platform.find(), tmp_path_factory.mktemp("private"), settings)
    try:
        own.start()
        yield own
    finally:
        own.stop()


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer wrong\r\n",
        f"Authorization: Bearer {KEY}x\r\n",
        f"Authorization: Bearer {KEY[:-1]}\r\n",
        f"Authorization: Bearer  {KEY}\r\n",
        f"Authorization: Basic {KEY}\r\n",
        f"Authorization: {KEY}\r\n",
        f"Authorization: Bearer {KEY.upper()}\r\n",
        f"Authorization: Bearer wrong\r\nAuthorization: Bearer {KEY}\r\n",
        f"X-Authorization: Bearer {KEY}\r\n",
        f"Cookie: Authorization=Bearer {KEY}\r\n",
    ],
)
def test_every_private_location_wants_the_key(tcp_gateway: Gateway, authorization: str) -> None:
    listen = tcp_gateway.settings.more["PUSHGATE_PRIVATE_LISTEN"]
    before = LogWriter(tcp_gateway).entries()
    for name, method in product((*PRIVATE, "", "sub/thread:1"), ("GET", "POST", "DELETE")):
        answer = exchange(
            listen,
            f"{method} /{name}?id=thread:1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            f"{authorization}Content-Length: 2\r\n\r\n{{}}".encode(),
        )
        # What is not there is not there for anybody.
        assert answer[:12] in (b"HTTP/1.1 401", b"HTTP/1.1 400", b"HTTP/1.1 404"), (name, answer)
        assert is_harmless(answer)
        if name in LOCATIONS:
            assert answer[:12] != b"HTTP/1.1 404", (method, name)
        assert KEY.encode() not in answer
    assert LogWriter(tcp_gateway).entries() == before


def test_with_the_key_it_is_as_the_unix_socket(tcp_gateway: Gateway) -> None:
    listen = tcp_gateway.settings.more["PUSHGATE_PRIVATE_LISTEN"]
    head = f"Host: a\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n"
    answer = exchange(
        listen,
        f"POST /pub?id=thread:1 HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{}}".encode(),
    )
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["published_messages"] == 1
    assert b"ready at" in exchange(listen, f"GET /readyz HTTP/1.1\r\n{head}\r\n".encode())
    # The public listener takes no key.
    for name in PRIVATE:
        answer = exchange(
            tcp_gateway.settings.listen, f"GET /{name}?id=ALL HTTP/1.1\r\n{head}\r\n".encode()
        )
        assert answer[:12] == b"HTTP/1.1 404"


def test_the_sockets_folder_is_not_everybodys(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    settings = GatewaySettings(listen="127.0.0.1:1", redis_url="redis://127.0.0.1:1/0")

    def start() -> str:
        started = subprocess.run(
            [str(REPOSITORY / "nginx/start.sh"), str(tmp_path / "nginx"), "true"],
            env={**os.environ, **gateway_environment(Platform.find(), folder, settings)},
            capture_output=True,
            text=True,
            check=True,
        )
        return started.stderr

    assert start() == ""
    assert folder.stat().st_mode & 0o777 == 0o750
    folder.chmod(0o755)
    assert f"every user can enter {folder} and so publish" in start()


def test_no_public_location_gives_more_than_a_stream() -> None:
    """The public server's own files: each location that it includes, and what it does."""
    folder = REPOSITORY / "nginx"
    public = (folder / "servers" / "public.conf").read_text()
    included = [line.split()[1].rstrip(";") for line in public.splitlines() if "include" in line]
    locations = [name for name in included if name.startswith("locations/")]
    assert locations == [
        "locations/subscribe.conf",
        "locations/polling.conf",
        "locations/receipts.conf",
        "locations/refused.conf",
        "locations/nothing.conf",
    ]
    for internal in ("polling", "refused"):
        assert "  internal;\n" in (folder / "locations" / f"{internal}.conf").read_text()
