"""The address a worker's metrics are fetched from: `GET /metrics`, and `GET /healthz`, which
answers while the event loop turns.

It runs in the worker's own event loop, so everything about it is bounded: connections, the time
each may take, the requests on each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer
from prometheus_client import CollectorRegistry, make_wsgi_app

from formatter.errors import FormatterError

MOST_CONNECTIONS = 8
"""More wait in the kernel's own short queue, and are then refused."""

CONNECTION_SECONDS = 5.0
"""How long a client may take to ask and to fetch its answer."""

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen.

    Attributes:
        host: a name or an address; IPv6 without brackets; "" is every address of the machine.
        port: of the first process; the others of one parent take the ports behind it.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads `HOST:PORT`, `[IPV6]:PORT` or `:PORT`.

        Raises:
            ValueError: it is none of them, and what to write.
        """
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if bracketed:
            host = host[1:-1]
        malformed = (
            not colon
            or (":" in host and not bracketed)
            or any(character.isspace() or character in "/[]@" for character in host)
            or not (port.isascii() and port.isdigit() and len(port) <= 5)
        )
        if malformed:
            raise ValueError(f"{text!r}: use HOST:PORT, 127.0.0.1:9464 say")
        if not 1 <= int(port) <= 65535:
            raise ValueError(f"{text!r}: use a port from 1 to 65535")
        return cls(host, int(port))

    def of_process(self, place: int) -> Address:
        """The address of the process at this place, from 0 on."""
        return Address(self.host, self.port + place)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class MetricsUnavailable(FormatterError):
    """The metrics' address cannot be listened on."""


class _BriefHandler(WSGIHandler):
    """One connection, ended in time, whatever its client does."""

    def handle(self) -> None:
        with suppress(gevent.Timeout), gevent.Timeout(CONNECTION_SECONDS):
            super().handle()


class MetricsServer:
    """Serves a registry until it is stopped.

    Args:
        address: where to listen.
        registry: what is served.
    """

    def __init__(self, address: Address, registry: CollectorRegistry) -> None:
        self._address = address
        self._server = WSGIServer(
            (address.host, address.port),
            application(registry),
            spawn=Pool(MOST_CONNECTIONS),
            log=None,
            # What a client sends is not worth a line each time.
            error_log=None,
            handler_class=_BriefHandler,
        )

    def start(self) -> None:
        """Listens from here on.

        Raises:
            MetricsUnavailable: the address is taken, or is none of this machine's.
        """
        try:
            self._server.start()
        except OSError as error:
            raise MetricsUnavailable(
                f"--metrics {self._address}: cannot listen there: {why(error)}"
            ) from None

    def stop(self) -> None:
        """Listens no more; what is being served is not waited for."""
        self._server.stop(timeout=0)


def why(error: OSError) -> str:
    """What the system says of a failure; libraries put the address behind it once more."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def application(registry: CollectorRegistry) -> Application:
    """What answers a request: `/metrics` and `/healthz`, GET alone, one request a connection."""
    metrics: Application = make_wsgi_app(registry)

    def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, ("Connection", "close")], *rest)

        path = environ.get("PATH_INFO")
        if path not in ("/metrics", "/healthz"):
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"there are /metrics and /healthz\n"]
        if environ.get("REQUEST_METHOD") != "GET":
            start("405 Method Not Allowed", [("Content-Type", "text/plain"), ("Allow", "GET")])
            return [b"use GET\n"]
        if path == "/metrics":
            return metrics(environ, start)
        start("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "no-store")])
        return [b"ok\n"]

    return answer
