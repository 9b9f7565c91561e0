"""What an endpoint's answers mean, on a real HTTP server."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest

from formatter.publishers import Gone, Refused, Unavailable
from formatter.publishers.endpoint import ANSWER_BYTES, Endpoint, wrong_with
from stack.platform import REPOSITORY
from stack.process import free_port
from tests.consumer import Answer, Consumer


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    consumer = Consumer()
    yield consumer
    consumer.close()


@pytest.fixture
def endpoint(consumer: Consumer) -> Iterator[Endpoint]:
    endpoint = Endpoint(consumer.url, 2, "test/1")
    yield endpoint
    endpoint.close()


def answering(status: int, headers: dict[str, str] | None = None, body: bytes = b""):
    def answer(_: object) -> Answer:
        return Answer(status, headers or {}, body)

    return answer


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_success_is_taken(consumer: Consumer, endpoint: Endpoint, status: int) -> None:
    consumer.answer = answering(status)
    endpoint.post(b"{}", {"x-some": "thing"})
    (request,) = consumer.received
    assert request.headers["x-some"] == "thing"
    assert request.headers["user-agent"] == "test/1"


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_what_is_wrong_with_the_body_is_refused(
    consumer: Consumer, endpoint: Endpoint, status: int
) -> None:
    consumer.answer = answering(status)
    with pytest.raises(Refused, match=str(status)):
        endpoint.post(b"{}", {})


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 408, 429, 500, 502, 503, 504, 599])
def test_what_may_be_otherwise_next_time_is_tried_again(
    consumer: Consumer, endpoint: Endpoint, status: int
) -> None:
    consumer.answer = answering(status)
    with pytest.raises(Unavailable, match=str(status)) as caught:
        endpoint.post(b"{}", {})
    assert caught.value.about_items == (status == 500)


def test_a_consumer_that_is_gone_says_so(consumer: Consumer, endpoint: Endpoint) -> None:
    consumer.answer = answering(410)
    with pytest.raises(Gone):
        endpoint.post(b"{}", {})


def test_a_redirect_is_not_followed(consumer: Consumer, endpoint: Endpoint) -> None:
    consumer.answer = answering(308, {"location": f"{consumer.url}/elsewhere"})
    with pytest.raises(Unavailable, match="308"):
        endpoint.post(b"{}", {})
    assert [request.path for request in consumer.received] == ["/hook"]


@pytest.mark.parametrize(
    ("status", "header", "is_right"),
    [
        (503, "7", lambda s: s == 7),
        (429, "100000", lambda s: s == 900),
        (503, "-3", lambda s: s == 0),
        (503, "soon", lambda s: s == 0),
        (503, +300, lambda s: 0 < s <= 300),
        (503, -300, lambda s: s == 0),
        (500, "7", lambda s: s == 0),
    ],
)
def test_how_long_it_wants_to_be_left_alone_is_heeded_within_bounds(
    consumer: Consumer,
    endpoint: Endpoint,
    status: int,
    header: str | int,
    is_right: Callable[[float], bool],
) -> None:
    if isinstance(header, int):
        # A date, so many seconds from now.
        header = formatdate(time.time() + header, usegmt=True)
    consumer.answer = answering(status, {"retry-after": header})
    with pytest.raises(Unavailable) as caught:
        endpoint.post(b"{}", {})
    assert is_right(caught.value.retry_after_seconds)


def test_connections_are_kept(consumer: Consumer, endpoint: Endpoint) -> None:
    consumer.answer = answering(200, body=b"thanks")
    for _ in range(5):
        endpoint.post(b"{}", {})
    assert len({request.peer_port for request in consumer.received}) == 1


def test_an_answer_without_end_is_cut_and_its_connection_dropped(
    consumer: Consumer, endpoint: Endpoint
) -> None:
    consumer.answer = answering(200, body=b"x" * (40 * ANSWER_BYTES))
    for _ in range(2):
        endpoint.post(b"{}", {})
    assert len({request.peer_port for request in consumer.received}) == 2


def test_where_nobody_listens_it_is_tried_again() -> None:
    endpoint = Endpoint(f"http://127.0.0.1:{free_port()}/", 1, "test/1")
    with pytest.raises(Unavailable, match="refused"):
        endpoint.post(b"{}", {})


DRIPPING = """
from gevent import monkey
monkey.patch_all()
import gevent, sys
from gevent.server import StreamServer
from formatter.publishers import Unavailable, endpoint

def drip(connection, address):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nx-slow: ")
    while True:
        connection.sendall(b"x")
        gevent.sleep(0.01)

server = StreamServer(("127.0.0.1", 0), drip)
server.start()
endpoint.WHOLE_SECONDS = 0.2
try:
    endpoint.Endpoint(f"http://127.0.0.1:{server.server_port}/", 1, "test/1").post(b"{}", {})
except Unavailable as error:
    sys.exit(0 if "no whole answer" in str(error) else 1)
sys.exit(2)
"""


def test_an_answer_that_drips_without_end_is_given_up() -> None:
    """In a process of its own, patched as the formatter's is: elsewhere a wait cannot be cut."""
    dripping = subprocess.run([sys.executable, "-c", DRIPPING], cwd=REPOSITORY, check=False)
    assert dripping.returncode == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/hook?key=1",
        "https://example.org:8443",
        "http://127.0.0.1:8000/hook",
        "http://localhost/hook",
        "http://[::1]:8000/",
        "http://10.1.2.3/hook",
        "http://192.168.0.7/",
    ],
)
def test_addresses_that_may_be_posted_to(url: str) -> None:
    assert wrong_with(url) == ""


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("ftp://example.org/", "use https"),
        ("example.org/hook", "use https"),
        ("https:///hook", "use https"),
        ("https://example.org:port/", "ort"),
        ("http://example.org/hook", "plain http"),
        ("http://93.184.216.34/", "plain http"),
        ("http://0.0.0.0/", "plain http"),
        ("https://me:secret@example.org/", "password"),
        ("https://example.org/#top", "fragment"),
    ],
)
def test_addresses_that_may_not(url: str, wrong: str) -> None:
    assert wrong in wrong_with(url)
    assert "secret" not in wrong_with(url)


def test_whoever_says_insecure_may_post_in_the_clear() -> None:
    assert wrong_with("http://consumer.internal/hook", insecure=True) == ""
