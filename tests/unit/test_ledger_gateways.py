"""What is made of a gateway's answer, whatever it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest

from pushgate.auditing import behind
from pushgate.books import Books, BooksReader, LogFacts, LogPlace
from pushgate.errors import InvalidSetting
from pushgate.gateways import GatewayAddress, GatewayAway, GatewayBooks
from pushgate.ledger import Ledger

EPOCH = "0123abcd"
BOOKS: dict[str, Any] = {
    "log": {
        **{"to": f"{EPOCH}.7-0", "place": 9, "entries": 6},
        **{"handed_over": 3, "malformed": 1, "refused": 1, "cut": 1},
    },
    "streams": {"opened": 5, "ended": 3, "lost": 1, "open": 1, "audited": 2, "unaudited": 1},
    "frames": {"live": 9, "replayed": 1, "owed": 8, "came": 9, "again": 1, "short": 0},
}

Serve = Callable[[int, bytes], GatewayAddress]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves one answer to everything: `serve(status, body)` returns the address."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, body: bytes) -> GatewayAddress:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return GatewayAddress.parse(f"http://127.0.0.1:{server.server_port}")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Reader:
    """Says how far the log had come."""

    def __init__(self, epoch: str, place: int | None) -> None:
        self._found = LogPlace(epoch, place)

    def place_of(self, entry_id: str) -> LogPlace:
        return self._found


def complaints(told: dict[str, Any], reader: Reader) -> list[str]:
    accounts = list(GatewayBooks.of("g", told).accounts(cast(BooksReader, reader)))
    unknown = [f"{account.title}: {account.unknown}" for account in accounts if account.unknown]
    return [account.complaint for account in accounts if account.complaint] + unknown


def test_books_that_balance_are_nobodys_complaint(serve: Serve) -> None:
    told = serve(200, json.dumps(BOOKS).encode()).ask()
    assert complaints(dict(told.told), Reader(EPOCH, 9)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("log", "entries", 8),
            "gateway log g: 2 entries of the log were passed and nothing became",
        ),
        (
            ("log", "entries", 5),
            "gateway log g: 1 entries of the log were booked and Redis never gave",
        ),
        (("log", "place", 8), "gateway place g: Redis gave the log 1 entries more"),
        (("log", "place", 11), "gateway place g: the gateway passed 2 entries more"),
        (("streams", "audited", 1), "gateway streams g: 1 streams ended and nobody looked"),
        (("frames", "came", 7), "gateway frames g: 2 frames never came to streams"),
        (("log", "to", f"89abcdef{EPOCH[8:]}.7-0"), "it follows epoch 89abcdef, and the log is in"),
        (("log", "to", None), "the log has not been read yet"),
    ],
)
def test_each_account_is_compared(change: tuple[str, str, Any], said: str) -> None:
    part, column, value = change
    told = {**BOOKS, part: {**BOOKS[part], column: value}}
    (complaint,) = complaints(told, Reader(EPOCH, 9))
    assert said in complaint


def test_what_the_gateway_cannot_tell_is_said() -> None:
    log = {**BOOKS["log"], "unknown": "Redis is away"}
    del log["entries"]
    assert complaints({**BOOKS, "log": log}, Reader(EPOCH, None)) == [
        "gateway log g: Redis is away",
        "gateway place g: the log does not reach from there to its end",
    ]


@pytest.mark.parametrize(
    ("last_id", "epoch", "is_behind"),
    [("7-0", EPOCH, False), ("6-9", EPOCH, False), ("7-1", EPOCH, True), ("9-0", "f" * 8, False)],
)
def test_a_gateway_that_lacks_entries_is_behind(last_id: str, epoch: str, is_behind: bool) -> None:
    gateway = GatewayBooks.of("g", BOOKS)
    books = Books(Ledger(), epoch, log=LogFacts(9, last_id))
    said = [f"gateway g: it is at 7-0, and the log goes on to {last_id}."] if is_behind else []
    assert behind(gateway, books) == said


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"", "answers 401; its key is in the file that --key-file names"),
        (404, b"", "answers 404"),
        (200, b"", "answers what are no books"),
        (200, b"<html>", "answers what are no books"),
        (200, b"[]", "answers what are no books"),
        (200, b'{"log": {}}', "answers what are no books"),
        (200, b'{"log": 1, "streams": 2, "frames": 3}', "answers what are no books"),
        (200, b"\xff\xfe", "answers what are no books"),
        (200, b'{"log": {}, "streams": {}, "frames": {}}', "answers what are no books"),
    ],
)
def test_an_answer_that_is_no_books_is_one_sentence(
    serve: Serve, status: int, body: bytes, said: str
) -> None:
    address = serve(status, body)
    with pytest.raises(GatewayAway) as raised:
        address.ask()
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"gateway {address.text} ")


def test_nobody_at_a_socket_is_one_sentence() -> None:
    with pytest.raises(GatewayAway, match="gateway unix:/no/such does not answer: .*No such file"):
        GatewayAddress.parse("unix:/no/such").ask()


@pytest.mark.parametrize(
    "address",
    ["http://host:0", "http://host:80/?a", "http://me:word@host:80", "https://host", "host:80", ""],
)
def test_an_address_that_is_none_is_one_sentence(address: str) -> None:
    with pytest.raises(InvalidSetting, match="use unix:/path/of/private.sock or http://host:port"):
        GatewayAddress.parse(address)


def test_a_host_that_no_name_can_be_does_not_answer() -> None:
    with pytest.raises(GatewayAway, match="does not answer"):
        GatewayAddress.parse("http://a..b:80").ask()
