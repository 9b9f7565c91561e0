"""The access log: one line of JSON when a request has ended, and nothing secret in it."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.gateway import Gateway, GatewaySettings
from stack.platform import Platform
from stack.process import free_port, wait_until
from stack.redis_server import RedisServer
from tests.gateway.conftest import DEADLINE_SECONDS, LogWriter, Subscriber, ask

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(60)]

SECRET = "secret-of-the-test"
FIELDS = {
    "time",
    "address",
    "method",
    "path",
    "status",
    "reason",
    "seconds",
    "bytes",
    "frames",
    "resumed",
    "user",
    "request_id",
    "correlation_id",
}


class LoggingGateway:
    """A gateway with an access log."""

    def __init__(self, gateway: Gateway, file: Path) -> None:
        self.gateway = gateway
        self.file = file
        self.log = LogWriter(gateway)

    def lines(self) -> list[dict[str, Any]]:
        """Every line written so far."""
        return [json.loads(line) for line in self.text().splitlines()]

    def text(self) -> str:
        return self.file.read_text(encoding="utf-8", errors="replace")

    def line(self, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The one line of which something holds, when it has been written."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [line for line in self.lines() if holds(line)]
            return bool(found)

        wait_until(is_there, DEADLINE_SECONDS, "the line has been written")
        assert len(found) == 1
        assert set(found[0]) == FIELDS
        return found[0]


@pytest.fixture(scope="module")
def logging_gateway(
    engine: str, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoggingGateway]:
    directory = tmp_path_factory.mktemp("log")
    file = directory / "access.log"
    settings = GatewaySettings(
        listen=f"127.0.0.1:{free_port()}",
        redis_url=redis_server.url,
        namespace="access-log",
        workers="2",
        engine=engine,
        more={"PUSHGATE_ACCESS_LOG": str(file)},
    )
    gateway = Gateway(Platform.find(), directory / "gateway", settings)
    gateway.start()
    try:
        yield LoggingGateway(gateway, file)
    finally:
        gateway.stop()


def test_a_stream_is_one_line_when_it_has_ended(
    logging_gateway: LoggingGateway, channel: str, subscriber_of: Callable[..., Subscriber]
) -> None:
    subscriber = subscriber_of(logging_gateway.gateway, channel).connect()
    for _ in range(3):
        logging_gateway.log.append(channel)
    subscriber.wait_for(3)
    assert channel not in logging_gateway.text()
    subscriber.client.close()
    line = logging_gateway.line(lambda line: line["path"] == f"/sub/{channel}")
    assert (line["status"], line["reason"], line["frames"]) == (200, "client", 3)
    assert (line["address"], line["method"]) == ("127.0.0.1", "GET")
    assert line["resumed"] is False
    assert line["bytes"] > 300
    assert line["seconds"] >= 0
    assert len(line["request_id"]) == 32


def test_a_resumed_stream_says_so(
    logging_gateway: LoggingGateway, channel: str, subscriber_of: Callable[..., Subscriber]
) -> None:
    cursor = logging_gateway.log.now()
    for _ in range(4):
        logging_gateway.log.append(channel)
    subscriber = subscriber_of(logging_gateway.gateway, channel, cursor).connect()
    subscriber.wait_for(4)
    subscriber.client.close()
    line = logging_gateway.line(lambda line: line["path"] == f"/sub/{channel}")
    assert (line["resumed"], line["frames"]) == (True, 4)


def test_a_refusal_has_its_reason(logging_gateway: LoggingGateway, channel: str) -> None:
    ask(logging_gateway.gateway, "GET", f"/sub/{channel}/NOT-ONE")
    line = logging_gateway.line(lambda line: line["path"] == f"/sub/{channel}/NOT-ONE")
    assert (line["status"], line["reason"], line["frames"]) == (400, "address", 0)


def test_no_query_cookie_or_key_is_written(logging_gateway: LoggingGateway, channel: str) -> None:
    gateway = logging_gateway.gateway
    headers = {
        "Cookie": f"pushgate={SECRET}",
        "Authorization": f"Bearer {SECRET}",
        "Referer": f"http://x/?token={SECRET}",
        "X-Request-Id": f"a token={SECRET}",
    }
    for target in (
        f"/sub/{channel}/NOT-ONE?token={SECRET}",
        f"/nothing/{channel}?token={SECRET}",
        f"/sub/{channel}%3Ftoken={SECRET}",
        f"/sub/{channel}%3ftoken={SECRET}",
        f"/sub/{channel}#token={SECRET}",
    ):
        ask(gateway, "GET", target, headers)
    gateway.private("GET", f"/channels-stats?id={channel}&token={SECRET}", headers=headers)
    gateway.private("GET", f"/{channel}/last", headers=headers)
    logging_gateway.line(lambda line: line["path"] == f"/{channel}/last")
    assert SECRET not in logging_gateway.text()


def test_private_requests_are_written_too(logging_gateway: LoggingGateway, channel: str) -> None:
    logging_gateway.gateway.private(
        "POST", f"/pub?id={channel}", "{}", {"X-Request-Id": f"correlation-{channel}"}
    )
    line = logging_gateway.line(lambda line: line["correlation_id"] == f"correlation-{channel}")
    assert (line["path"], line["status"], line["method"]) == ("/pub", 200, "POST")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b'GET /sub/%s/"\\\t{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
        b"GET /sub/%s/\xff\xfe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /sub/%s HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /sub/%s HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET /sub/%s/" + b"x" * 6_000 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ],
)
def test_whatever_comes_each_line_is_json(
    logging_gateway: LoggingGateway, channel: str, request_bytes: bytes
) -> None:
    host, _, port = logging_gateway.gateway.settings.listen.rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as connection:
        connection.sendall(request_bytes.replace(b"%s", channel.encode()))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    logging_gateway.gateway.private("GET", f"/{channel}/behind")
    logging_gateway.line(lambda line: line["path"] == f"/{channel}/behind")
    assert all(set(line) == FIELDS for line in logging_gateway.lines())
    assert all(len(line) < 4096 for line in logging_gateway.text().splitlines())
    errors = logging_gateway.gateway.log.read_text(encoding="utf-8")
    assert "uninitialized" not in errors


def test_a_rotated_log_is_opened_anew(logging_gateway: LoggingGateway, channel: str) -> None:
    gateway, file = logging_gateway.gateway, logging_gateway.file
    gateway.private("GET", f"/{channel}/before")
    logging_gateway.line(lambda line: line["path"] == f"/{channel}/before")
    file.rename(file.with_suffix(".1"))
    os.kill(gateway.pid, signal.SIGUSR1)

    def is_written() -> bool:
        gateway.private("GET", f"/{channel}/after")
        return file.exists() and f"/{channel}/after" in logging_gateway.text()

    wait_until(is_written, DEADLINE_SECONDS, "the new file is written to")


def test_there_is_none_unless_asked_for(gateway: Gateway) -> None:
    gateway.private("GET", "/healthz")
    assert not list(gateway.directory.rglob("access*.log"))
