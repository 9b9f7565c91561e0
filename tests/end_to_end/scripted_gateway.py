"""A gateway that says what a test wants it to say, and serves the scripts that listen to it."""

from __future__ import annotations

import json
import queue
import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from stack.platform import REPOSITORY

ROOT = REPOSITORY / "django_hooks/static/django_hooks"
COMMENT_TEXT = REPOSITORY / "example_site/threads/static/threads/comment_text.js"
EPOCH = "0123abcd"
LOOK_SECONDS = 0.05


def cursor(position: int, epoch: str = EPOCH) -> str:
    """The cursor of this position."""
    return f"{epoch}.{position}-0"


class Stream:
    """One subscriber's connection, as the gateway sees it."""

    def __init__(self, address: str, last_event_id: str) -> None:
        path, query = urlsplit(address).path, urlsplit(address).query
        self.channels = {unquote(part) for part in path.removeprefix("/sub/").split("/")}
        self.query = {name: values[0] for name, values in parse_qs(query).items()}
        self.last_event_id = last_event_id
        self.is_open = True
        self.chunks: queue.Queue[bytes | None] = queue.Queue()

    def send(
        self,
        position: int,
        text: str,
        version: int = 0,
        *,
        event_id: str = "",
        type: str = "comment.created",
        number: int = 1,
        channels: tuple[str, ...] = ("thread:1",),
        epoch: str = EPOCH,
        **data: object,
    ) -> None:
        """Send a frame of the comment `number`."""
        fields = {
            "event_id": event_id or f"{position:032x}",
            "object": f"threads.comment:{number}",
            "version": version,
            "channels": channels,
            "text": text,
            **data,
        }
        self.say(f"id: {cursor(position, epoch)}\nevent: {type}\ndata: {json.dumps(fields)}\n\n")

    def reset(self, position: int, reason: str, epoch: str = EPOCH) -> None:
        """Send a reset at this position."""
        what = {"reason": reason, "cursor": cursor(position, epoch)}
        self.say(f"id: {cursor(position, epoch)}\nevent: reset\ndata: {json.dumps(what)}\n\n")

    def say(self, lines: str) -> None:
        """Send these lines."""
        self.chunks.put(lines.encode())

    def end(self) -> None:
        """End the answer, as a gateway that restarts does."""
        self.chunks.put(None)


@dataclass(frozen=True)
class Sent:
    """Receipts, as a page sent them."""

    headers: dict[str, str]
    text: str

    @property
    def lines(self) -> list[list[str]]:
        """The words of each receipt."""
        first, *others = self.text.split("\n")
        assert first == "pushgate-receipts 1"
        return [line.split(" ") for line in others]


class ScriptedGateway(ThreadingHTTPServer):
    """Serves the scripts and the test's pages, and streams under the test's control."""

    daemon_threads = True

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.asked_for: list[str] = []
        self.receipts: queue.Queue[Sent] = queue.Queue()
        self.refused_channels: set[str] = set()
        self.refusals: queue.Queue[int] = queue.Queue()
        self.streams: queue.Queue[Stream] = queue.Queue()
        self.all_streams: list[Stream] = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def stream(self) -> Stream:
        """The next connection that comes."""
        return self.streams.get(timeout=30)

    def open_streams(self) -> list[Stream]:
        """The connections that are open now."""
        return [stream for stream in self.all_streams if stream.is_open]


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: ScriptedGateway

    def do_GET(self) -> None:
        """A script, a stream or a page."""
        path = urlsplit(self.path).path
        if path.startswith("/sub/"):
            self._stream()
            return
        self.server.asked_for.append(path)
        file = self._script(path)
        page = self.server.pages.get(path, "<!doctype html><title>A page</title>")
        content = file.read_bytes() if file else page.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if file else "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        """Receipts."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/receipts"
        self.server.receipts.put(Sent(dict(self.headers), body.decode()))
        self.send_response(204)
        self.end_headers()

    def _script(self, path: str) -> Path | None:
        if path == "/comment_text.js":
            return COMMENT_TEXT
        file = ROOT / path.removeprefix("/")
        return file if path.endswith(".js") and file.is_file() else None

    def _stream(self) -> None:
        stream = Stream(self.path, self.headers.get("Last-Event-ID", ""))
        try:
            status = self.server.refusals.get_nowait()
        except queue.Empty:
            status = 403 if stream.channels & self.server.refused_channels else 200
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        if status != 200:
            return
        self.wfile.write(b"retry: 10\n\n")
        self.server.all_streams.append(stream)
        self.server.streams.put(stream)
        try:
            self._serve(stream)
        finally:
            stream.is_open = False

    def _serve(self, stream: Stream) -> None:
        with suppress(OSError):
            while not self._is_gone():
                with suppress(queue.Empty):
                    chunk = stream.chunks.get(timeout=LOOK_SECONDS)
                    if chunk is None:
                        return
                    self.wfile.write(chunk)
                    self.wfile.flush()

    def _is_gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
