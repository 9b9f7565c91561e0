"""Every malformed request has its own 4xx and one sentence in plain text."""

import re

import pytest

from stack.gateway import Gateway
from tests.gateway.conftest import LogWriter, Subscribe
from tests.gateway.wire import WireAnswer, answers_of, connect, exchange, the_answer

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

CHANNEL = "a channel is 1-127 of a-z"
NO_REQUEST = "this is not a request that HTTP/1.1 knows"


def request(
    target: str = "/sub/thread:1",
    *headers: str,
    method: str = "GET",
    version: str = "HTTP/1.1",
    host: str | None = "gateway",
    body: bytes = b"",
) -> bytes:
    lines = [f"{method} {target} {version}"]
    lines += [f"Host: {host}"] if host is not None else []
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def check_refusal(answer: WireAnswer, status: int, words: str) -> None:
    """One sentence in plain text, and nothing of nginx' own pages."""
    assert answer.status == status, answer
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert words in answer.body.decode()
    assert re.fullmatch(rb"[ -~]+\n", answer.body), answer.body
    assert answer.header("content-length") == str(len(answer.body))


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        pytest.param("/sub/", 400, CHANNEL, id="no channel"),
        pytest.param("/sub/thread:1/", 400, CHANNEL, id="an empty last channel"),
        pytest.param("/sub/thread:1//thread:2", 400, CHANNEL, id="an empty channel between"),
        pytest.param("/sub//thread:1", 400, CHANNEL, id="an empty first channel"),
        pytest.param("/sub/Thread:1", 400, CHANNEL, id="an upper case letter"),
        pytest.param("/sub/thread:" + "1" * 121, 400, CHANNEL, id="a long channel"),
        pytest.param("/sub/" + "a/" * 17, 400, CHANNEL, id="empty behind many"),
        pytest.param(
            "/sub/" + "/".join(f"thread:{n}" for n in range(17)), 400, "too many", id="17 channels"
        ),
        pytest.param("/sub/thread:1.b5.b6", 400, CHANNEL, id="two backlogs"),
        pytest.param("/sub/.b5", 400, CHANNEL, id="a backlog alone"),
        pytest.param("/sub/thread:1.b5%20", 400, CHANNEL, id="a backlog and a space"),
        pytest.param("/sub/thread:1%2eb5.b5", 400, CHANNEL, id="an encoded backlog and another"),
        pytest.param("/sub/thread:1.", 400, CHANNEL, id="a dot at the end"),
        pytest.param("/sub/_all", 400, CHANNEL, id="the gateway's own channel"),
        pytest.param("/sub/ALL", 400, CHANNEL, id="all channels"),
        pytest.param("/sub/thread:*", 400, CHANNEL, id="a star"),
        pytest.param("/sub/thread:1;x=1", 400, CHANNEL, id="a path parameter"),
        pytest.param("/sub/thread:1,thread:2", 400, CHANNEL, id="a comma"),
        pytest.param("/sub/thread:1%2Fthread:2", 400, CHANNEL, id="an encoded slash"),
        pytest.param("/sub/thread:1%2f..%2f..%2fx", 404, "nothing", id="encoded steps up"),
        pytest.param("/sub/thread:1%0d%0aX-Injected:1", 400, CHANNEL, id="an encoded line end"),
        pytest.param("/sub/thread:1%0a", 400, CHANNEL, id="an encoded newline at the end"),
        pytest.param("/sub/thread:1%20", 400, CHANNEL, id="an encoded space"),
        pytest.param("/sub/thread:1+", 400, CHANNEL, id="a plus"),
        pytest.param("/sub/thread:1%2500", 400, CHANNEL, id="an encoded percent"),
        pytest.param("/sub/thread:\xc3\xa9", 400, CHANNEL, id="bytes above 127"),
        pytest.param("/sub/thread:%c3%a9", 400, CHANNEL, id="encoded bytes above 127"),
        pytest.param("/sub/thread:%EF%BC%91", 400, CHANNEL, id="another alphabet's digit"),
        pytest.param("/sub/thread:1#x", 400, CHANNEL, id="a fragment"),
        pytest.param('/sub/"<script>', 400, CHANNEL, id="markup"),
        pytest.param("/sub/..", 404, "nothing", id="two dots"),
        pytest.param("/sub/../sub/thread:1", 400, CHANNEL, id="a step up and down again"),
        pytest.param("/sub/./thread:1", 400, CHANNEL, id="a step on the spot"),
        pytest.param("/x/../sub/thread:1", 400, "write the address as", id="down another way"),
        pytest.param("/%73ub/thread:1", 400, "write the address as", id="an encoded /sub"),
        pytest.param("//sub/thread:1", 404, "nothing", id="two slashes"),
        pytest.param("/sub", 404, "nothing", id="no slash"),
        pytest.param("/sub\\thread:1", 404, "nothing", id="a backslash"),
        pytest.param("/_refused", 404, "nothing", id="where refusals are made"),
        pytest.param("/_refused?plain", 404, "nothing", id="where they are made, with arguments"),
        pytest.param("/sub/../../etc/passwd", 400, NO_REQUEST, id="steps above the root"),
        pytest.param("/sub/thread:1%00", 400, NO_REQUEST, id="an encoded NUL"),
        pytest.param("/sub/thread:1%zz", 400, NO_REQUEST, id="percent without digits"),
        pytest.param("/sub/thread:1%", 400, NO_REQUEST, id="percent at the end"),
        pytest.param("/sub/thread:1\0", 400, NO_REQUEST, id="a NUL"),
        pytest.param("/sub/thread:1\x01", 400, NO_REQUEST, id="a control character"),
        pytest.param("/sub/thread:1 x", 400, NO_REQUEST, id="a space"),
        pytest.param("sub/thread:1", 400, NO_REQUEST, id="no slash at the beginning"),
        pytest.param("http:/sub/thread:1", 400, NO_REQUEST, id="half an absolute address"),
        pytest.param("*", 400, NO_REQUEST, id="a star alone"),
        pytest.param("/sub/" + "a" * 9000, 414, "8 KB", id="a long address"),
        pytest.param("/sub/thread:1?x=" + "a" * 9000, 414, "8 KB", id="a long query"),
        pytest.param("http://x/sub/Thread:1", 400, CHANNEL, id="an absolute address"),
    ],
)
def test_a_bad_address_gets_its_status_and_one_sentence(
    gateway: Gateway, target: str, status: int, words: str
) -> None:
    answer = the_answer(exchange(gateway, request(target, "Connection: close")))
    check_refusal(answer, status, words)


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        pytest.param(request(host=None), 400, NO_REQUEST, id="no Host"),
        pytest.param(request("/sub/a", "Host: b"), 400, NO_REQUEST, id="two Hosts"),
        pytest.param(request(host="a b"), 400, NO_REQUEST, id="a Host with a space"),
        pytest.param(request(method="get"), 400, NO_REQUEST, id="a method in lower case"),
        pytest.param(request(method=""), 400, NO_REQUEST, id="no method"),
        pytest.param(request(method="G(T"), 400, NO_REQUEST, id="a method of odd characters"),
        pytest.param(request(method="BREW"), 405, "method BREW", id="an unknown method"),
        pytest.param(request(method="HEAD"), 405, "", id="HEAD"),
        pytest.param(request(method="TRACE"), 405, "use GET", id="TRACE"),
        pytest.param(request(method="CONNECT"), 405, "use GET", id="CONNECT"),
        pytest.param(request(method="POST"), 405, "method POST", id="POST"),
        pytest.param(request(version="HTTP/2.0"), 400, "version of HTTP", id="HTTP/2 as a word"),
        pytest.param(request(version="HTTP/3"), 400, "version of HTTP", id="HTTP/3 as a word"),
        pytest.param(request(version="HTTP/1.x"), 400, NO_REQUEST, id="no version"),
        pytest.param(request(version="HTTPS/1.1"), 400, NO_REQUEST, id="another protocol"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "HTTP", id="HTTP/2 itself"),
        pytest.param(b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3", 400, NO_REQUEST, id="TLS"),
        pytest.param(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", 400, NO_REQUEST, id="PROXY"),
        pytest.param(request("/sub/a", "X: a\0b"), 400, NO_REQUEST, id="a NUL in a header"),
        pytest.param(request("/sub/a", "X y: a"), 400, NO_REQUEST, id="a space in a name"),
        pytest.param(request("/sub/a", "X: a", " b"), 400, NO_REQUEST, id="a folded header"),
        pytest.param(request("/sub/a", "X: " + "a" * 9000), 431, "8 KB", id="a long header"),
        pytest.param(request("/sub/a", *["X: " + "a" * 900] * 60), 431, "32 KB", id="60 headers"),
        pytest.param(
            request("/sub/thread:1", "Content-Length: 5", body=b"hello"),
            413,
            "without a body",
            id="a body",
        ),
        pytest.param(
            request("/sub/thread:1", "Content-Length: 1", body=b"h"),
            413,
            "without a body",
            id="a body of one byte",
        ),
        pytest.param(
            request("/sub/thread:1", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
            413,
            "without a body",
            id="a body of chunks",
        ),
        pytest.param(request("/sub/a", "Content-Length: x"), 400, NO_REQUEST, id="no length"),
        pytest.param(request("/sub/a", "Content-Length: -1"), 400, NO_REQUEST, id="length below 0"),
        pytest.param(
            request("/sub/a", "Content-Length: 9" + "9" * 30), 400, NO_REQUEST, id="a huge length"
        ),
        pytest.param(
            request("/sub/a", "Content-Length: 1", "Content-Length: 2"),
            400,
            NO_REQUEST,
            id="two lengths",
        ),
        pytest.param(
            request("/sub/a", "Content-Length: 1", "Transfer-Encoding: chunked"),
            400,
            NO_REQUEST,
            id="length and chunks",
        ),
        pytest.param(
            request("/sub/a", "Transfer-Encoding: gzip"), 400, "transfer coding", id="a coding"
        ),
    ],
)
def test_a_bad_request_gets_its_status_and_one_sentence(
    gateway: Gateway, sent: bytes, status: int, words: str
) -> None:
    answer = the_answer(exchange(gateway, sent))
    if b"HEAD" in sent:
        assert (answer.status, answer.body) == (status, b"")
    else:
        check_refusal(answer, status, words)


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        pytest.param(request("/x"), 404, "nothing", id="nowhere"),
        pytest.param(request("/pub?id=thread:1"), 405, "POST", id="reading where one publishes"),
        pytest.param(request("/pub", method="POST"), 400, "name the channel", id="no channel"),
        pytest.param(request("/pub?id", method="POST"), 400, "name the channel", id="no value"),
        pytest.param(
            request("/pub?id=a&id=b", "Content-Length: 2", method="POST", body=b"{}"),
            400,
            "several id",
            id="two ids",
        ),
        pytest.param(
            request("/pub?id=a%2500", method="POST"), 400, CHANNEL, id="an encoded percent"
        ),
        pytest.param(
            request("/pub?id=a%0d%0a", method="POST"), 400, CHANNEL, id="an encoded line end"
        ),
        pytest.param(request("/pub?id=a", method="POST"), 400, "body is empty", id="no body"),
        pytest.param(
            request("/pub?id=a", "Event-Id: 1", "Event-Id: 2", method="POST"),
            400,
            "header Event-Id",
            id="two Event-Ids",
        ),
        pytest.param(
            request("/pub?id=a", *["X: 1"] * 120, "Event-Id: -", method="POST"),
            400,
            "header Event-Id",
            id="a bad Event-Id behind 120 headers",
        ),
        pytest.param(
            request("/pub?id=a", "Transfer-Encoding: chunked", method="POST", body=b"zz\r\n{}"),
            400,
            NO_REQUEST,
            id="broken chunks",
        ),
        pytest.param(
            request("/pub?id=a", "Transfer-Encoding: chunked", method="POST", body=b"f" * 30),
            400,
            NO_REQUEST,
            id="a huge chunk",
        ),
        pytest.param(
            request("/pub?id=a", "Content-Length: 99999999", method="POST"),
            413,
            "larger than",
            id="a huge body",
        ),
        pytest.param(
            request("/channels-stats?id=A%0d%0a"), 400, CHANNEL, id="statistics of no channel"
        ),
    ],
)
def test_a_bad_private_request_gets_its_status_and_one_sentence(
    gateway: Gateway, sent: bytes, status: int, words: str
) -> None:
    check_refusal(the_answer(exchange(gateway, sent, private=True)), status, words)


def test_a_body_that_does_not_come_publishes_nothing(
    gateway: Gateway, log: LogWriter, channel: str
) -> None:
    before = log.now()
    sent = request(f"/pub?id={channel}", "Content-Length: 100", method="POST", body=b"{}")
    assert exchange(gateway, sent, private=True) == b""
    assert log.now() == before


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("target", ["/x", "/healthz", "/pub", "/channels-stats?id=A", "/sub/A"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_body_is_never_taken_for_a_request(
    gateway: Gateway, method: str, target: str, private: bool
) -> None:
    hidden = request("/smuggled", method="BREW")
    sent = request(target, f"Content-Length: {len(hidden)}", method=method, body=hidden)
    answers = answers_of(exchange(gateway, sent, private=private))
    assert len(answers) == 1
    assert b"BREW" not in answers[0].body


def test_what_is_expected_to_be_continued_is(
    gateway: Gateway, log: LogWriter, channel: str
) -> None:
    sent = request(
        f"/pub?id={channel}",
        "Content-Length: 2",
        "Expect: 100-continue",
        "Connection: close",
        method="POST",
    )
    with connect(gateway, private=True) as connection:
        connection.sendall(sent)
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert the_answer(connection.recv(65536)).status == 200


def test_http_without_headers_is_told_to_use_http_1_1(gateway: Gateway, channel: str) -> None:
    assert exchange(gateway, f"GET /sub/{channel}\r\n".encode()) == b"use HTTP/1.1\n"


def test_a_minor_version_of_two_digits_is_http_1_1(gateway: Gateway) -> None:
    answer = the_answer(exchange(gateway, request("/sub/A", version="HTTP/1.10")))
    check_refusal(answer, 400, CHANNEL)


def test_http_1_0_gets_a_stream_without_chunks(
    gateway: Gateway, log: LogWriter, channel: str
) -> None:
    with connect(gateway) as connection:
        connection.sendall(request(f"/sub/{channel}", version="HTTP/1.0", host=None))
        received = b""
        while b"\n\n" not in received:
            received += connection.recv(65536)
        (answer,) = answers_of(received)
        assert answer.header("transfer-encoding") is None
        assert re.fullmatch(rb"retry: \d+\nid: [0-9a-f.-]+\n\n", answer.body)


CONDITIONS = (
    "If-Match: x",
    "If-Match: *",
    "If-None-Match: *",
    "If-None-Match: 1",
    "If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT",
    "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
    "Range: bytes=0-1",
    "If-Range: x",
)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_nothing_is_published_or_told_on_conditions(
    gateway: Gateway, channel: str, condition: str
) -> None:
    sent = request(
        f"/pub?id={channel}", condition, "Content-Length: 2", method="POST", body=b"{}"
    ) + request("/readyz", condition, "Connection: close")
    answers = answers_of(exchange(gateway, sent, private=True))
    assert [answer.status for answer in answers] == [200, 200]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_stream_has_no_conditions_and_no_parts(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str, condition: str
) -> None:
    """`If-Match` once made nginx answer 412 in the middle of a stream's making: a dead worker."""
    workers = gateway.worker_pids
    with connect(gateway) as connection:
        connection.sendall(request(f"/sub/{channel}", condition))
        received = b""
        while b"\n\n" not in received:
            data = connection.recv(65536)
            assert data, "the connection ended"
            received += data
        assert answers_of(received)[0].status == 200
        cursor = log.append(channel)
        while f"id: {cursor}\n".encode() not in received:
            received += connection.recv(65536)
    assert gateway.worker_pids == workers
