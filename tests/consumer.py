"""A consumer of webhooks: a real HTTP server that notes what it is sent and answers as told."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True)
class Received:
    """One request.

    Attributes:
        path: with its query.
        headers: names in lower case.
        body: as it came.
        peer_port: tells connections apart.
    """

    path: str
    headers: dict[str, str]
    body: bytes
    peer_port: int

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items of a webhook's or a firehose's body."""
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def form(self) -> dict[str, list[str]]:
        """The fields of a ping."""
        return parse_qs(self.body.decode())


@dataclass(frozen=True)
class Answer:
    """What the consumer answers."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Consumer:
    """Listens on a free port of 127.0.0.1 from the moment it is made, until `close`.

    Args:
        answer: what to answer to each request; it may wait, and is called by several threads.
    """

    def __init__(self, answer: Callable[[Received], Answer] = lambda _: Answer()) -> None:
        self.received: list[Received] = []
        self.answer = answer
        self._server = _Server(("127.0.0.1", 0), _handler_for(self))
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def items(self) -> list[dict[str, Any]]:
        """Everything received, in order, gaps left out."""
        found = [item for request in list(self.received) for item in request.items]
        return [item for item in found if item["type"] != "reset"]

    @property
    def resets(self) -> list[dict[str, Any]]:
        """What was told of gaps."""
        found = [item for request in list(self.received) for item in request.items]
        return [item["data"] for item in found if item["type"] == "reset"]

    def numbers(self) -> list[int]:
        """The `number` of each item, in the order received."""
        return [item["data"]["number"] for item in self.items]

    def first_numbers_by_channel(self) -> dict[str, list[int]]:
        """As a consumer has them that drops the ids it has."""
        seen: set[str] = set()
        found: defaultdict[str, list[int]] = defaultdict(list)
        for item in self.items:
            if item["id"] not in seen:
                seen.add(item["id"])
                for channel in item["channels"]:
                    found[channel].append(item["data"]["number"])
        return dict(found)

    def close(self) -> None:
        """Listens no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none of the server's business."""


def _handler_for(consumer: Consumer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Received(self.path, headers, body, self.client_address[1])
            answer = consumer.answer(request)
            consumer.received.append(request)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    return Handler
