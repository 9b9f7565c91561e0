"""An HTTP server that answers as a test tells it to."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any


class Request(BaseHTTPRequestHandler):
    """One request; a test answers it through these."""

    protocol_version = "HTTP/1.1"
    # Head and body go out as one, or the second waits for the first's receipt.
    wbufsize = -1
    server: ScriptedApi

    def do_GET(self) -> None:
        """Hands the request to the test."""
        with self.server.lock:
            self.server.requests.append(self)
        self.server.answer(self)

    def json(self, value: Any, status: int = 200) -> None:
        """Answers with JSON."""
        self.raw(json.dumps(value).encode(), status)

    def raw(self, body: bytes, status: int = 200, length: int | None = None) -> None:
        """Answers with anything."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self) -> None:
        """Closes the connection without an answer."""
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class ScriptedApi(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """The server; it listens when made.

    Attributes:
        answer: what is done with each request.
        requests: what was asked so far.
        connections: how many were made.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.lock = threading.Lock()
        self.requests: list[Request] = []
        self.connections = 0
        self.answer: Callable[[Request], None] = lambda request: request.json({"name": "Ada"})
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def origin(self) -> str:
        """Its address."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [request.path for request in self.requests]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Counts the connection."""
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error."""
