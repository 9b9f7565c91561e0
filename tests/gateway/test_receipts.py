"""Receipts: pages say what became of frames, and the gateway counts it."""

import os
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadtest.eventsource import EventSourceClient
from stack.gateway import Gateway, GatewaySettings
from stack.platform import Platform
from stack.process import free_port, wait_until
from stack.redis_server import RedisServer
from tests.gateway.conftest import (
    DEADLINE_SECONDS,
    ORIGIN,
    GatewayWith,
    LogWriter,
    Subscriber,
    ask,
)
from tests.gateway.receipts import HEAD, Counted, post, receipts_of
from tests.gateway.wire import answers_of, exchange, the_answer

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

SECRET = "secret-of-this-test"


@pytest.fixture(scope="module")
def shared_taker(
    engine: str,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """A gateway that takes receipts, for the tests that leave it as it is. It has one worker: of
    another one's counts a test would see those of the last second late."""
    settings = GatewaySettings(
        listen=f"127.0.0.1:{free_port()}",
        redis_url=redis_server.url,
        namespace=f"receipts-{uuid.uuid4().hex[:8]}",
        origins=(ORIGIN,),
        workers="1",
        engine=engine,
        more={"PUSHGATE_RECEIPTS": "on"},
    )
    shared = Gateway(Platform.find(), tmp_path_factory.mktemp("receipts"), settings)
    shared.start()
    try:
        yield shared
    finally:
        shared.stop()


@pytest.fixture
def taker(gateway_with: GatewayWith, log_file: Path) -> Gateway:
    """A gateway that takes receipts."""
    return gateway_with(
        PUSHGATE_RECEIPTS="on", PUSHGATE_ORIGINS=ORIGIN, PUSHGATE_ACCESS_LOG=str(log_file)
    )


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    """Where `taker` has its access log."""
    return tmp_path / "access.log"


Stream = Callable[..., Subscriber]


@pytest.fixture
def stream() -> Iterator[Stream]:
    """Opens streams: `stream(gateway, channels, promises, cursor)`."""
    made: list[Subscriber] = []

    def connect(
        gateway: Gateway, channels: str, promises: str = "", cursor: str = ""
    ) -> Subscriber:
        query = f"?receipts={promises}" if promises else ""
        client = EventSourceClient(f"{gateway.url}/sub/{channels}{query}", cursor)
        made.append(Subscriber(client).connect())
        return made[-1]

    yield connect
    for subscriber in made:
        subscriber.client.close()


def test_off_by_default_there_is_no_such_address_and_nothing_is_counted(
    gateway: Gateway, log: LogWriter, channel: str, stream: Stream
) -> None:
    answer = post(gateway, HEAD + "hidden thread 1\n")
    assert (answer.status, answer.body) == (404, b"nothing is at this address\n")
    subscriber = stream(gateway, channel, "test.happened")
    log.append(channel)
    subscriber.wait_for(1)
    assert receipts_of(gateway) == {}
    assert "receipt" not in gateway.private("GET", "/metrics").body.decode()


def test_what_pages_say_is_counted_by_outcome_and_prefix(taker: Gateway) -> None:
    counted = Counted(taker)
    body = "delivered thread 7\nhidden thread 2\nfailed post 1\nknown post 3\nuntimed thread 4"
    answer = post(taker, HEAD + body)
    assert (answer.status, answer.body) == (204, b"")
    assert post(taker, HEAD + "hidden thread 1\n").status == 204
    assert post(taker, HEAD).status == 204
    counted.wait_for(
        receipts_delivered__thread=7,
        receipts__hidden__thread=3,
        receipts__failed__post=1,
        receipts__known__post=3,
        receipts__untimed__thread=4,
    )


def test_a_paint_is_timed_by_the_gateways_clock(taker: Gateway) -> None:
    counted = Counted(taker)
    now_ms = int(time.time() * 1000)
    lines = [
        # Made 3.2 s ago and painted 0.2 s ago: 3 s, and as long as the request takes.
        f"painted thread {now_ms - 3200} 200 60000",
        # Made before the stream was opened.
        f"painted thread {now_ms - 70000} 200 60000",
        # Made in the future, and the day before yesterday.
        f"painted thread {now_ms + 3600_000} 200 60000",
        f"painted thread {now_ms - 48 * 3600_000} 200 {72 * 3600_000}",
    ]
    assert post(taker, HEAD + "\n".join(lines)).status == 204
    counted.wait_for(
        receipts__painted__thread=1, receipts__caught_up__thread=1, receipts_refused__time=2
    )
    grown = counted.now()
    assert grown["commit_to_paint_seconds_count thread"] == 1
    assert 2.9 < grown["commit_to_paint_seconds_sum thread"] < 3 + DEADLINE_SECONDS
    assert "commit_to_paint_seconds_bucket 1.5 thread" not in grown
    assert grown["commit_to_paint_seconds_bucket +Inf thread"] == 1


ODD_BODIES: list[str | bytes] = [
    "",
    "hidden thread 1",
    "pushgate-receipts 2\nhidden thread 1",
    '{"receipts": []}',
    HEAD + "hidden thread one",
    HEAD + "hidden thread 1\nhidden thread",
    HEAD + "hidden thread -1",
    HEAD + "hidden thread 100001",
    HEAD + "hidden thread 1000000000000000000000",
    HEAD + "evil thread 1",
    HEAD + 'hidden "}{x="1 1',
    HEAD + "hidden thread:1 1",
    HEAD + "hidden thr\0ad 1",
    HEAD + "painted thread 1",
    HEAD + "painted thread 1e3 0 0",
    HEAD + "hidden thread 1\r\n",
    HEAD + "\n",
    HEAD + "hidden thread 1\n" * 600,
    b"\xff\xfe\x00",
    b"\x1f\x8b" + bytes(300),
]


@pytest.mark.parametrize("number", range(len(ODD_BODIES)))
def test_an_odd_body_is_told_one_sentence_and_counts_nothing(
    shared_taker: Gateway, number: int
) -> None:
    counted = Counted(shared_taker)
    answer = post(shared_taker, ODD_BODIES[number])
    assert answer.status == 400
    assert answer.body.count(b"\n") == 1
    assert answer.body.endswith(b"\n")
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    counted.wait_for(receipts_refused__malformed=1)


def test_almost_right_bodies_are_taken_or_told_a_sentence(shared_taker: Gateway) -> None:
    seed = 6
    print(f"seed {seed}")
    draw = random.Random(seed)
    right = HEAD + "delivered thread 7\nhidden thread 2\npainted thread 1795204694341 5 60000\n"
    errors = shared_taker.log.read_text().count("[error]")
    for _ in range(400):
        body = bytearray(right.encode())
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(body))
            body[at : at + draw.randint(0, 2)] = draw.choice(
                [b"", b"\n", b" ", b"9" * draw.randint(1, 30), b":", bytes([draw.randrange(256)])]
            )
        answer = post(shared_taker, bytes(body))
        assert answer.status in (204, 400), bytes(body)
        assert answer.body.count(b"\n") == (answer.status == 400)
    assert shared_taker.log.read_text().count("[error]") == errors


def test_a_body_is_bounded(shared_taker: Gateway) -> None:
    size = 16 * 1024
    longest = HEAD + "hidden thread 00000001\n" * 500
    assert post(shared_taker, longest).status == 204
    full = HEAD + "x" * (size - len(HEAD))
    assert post(shared_taker, full).status == 400
    assert post(shared_taker, full + "x").status == 413
    head = b"POST /receipts HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    whole = f"{len(longest):x}\r\n{longest}\r\n0\r\n\r\n".encode()
    assert the_answer(exchange(shared_taker, chunked + whole)).status == 204
    endless = f"{size + 1:x}\r\n{'x' * (size + 1)}\r\n0\r\n\r\n".encode()
    assert the_answer(exchange(shared_taker, chunked + endless)).status == 413


def test_other_methods_are_refused(shared_taker: Gateway) -> None:
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        answer = ask(shared_taker, method, "/receipts", {"Origin": ORIGIN})
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert ask(shared_taker, "HEAD", "/receipts").status == 405
    assert ask(shared_taker, "GET", "/receipts/").status == 404


def test_what_is_refused_unread_is_not_taken_for_the_next_request(shared_taker: Gateway) -> None:
    inside = b"GET /sub/thread:1 HTTP/1.1\r\nHost: a\r\n\r\n"
    head = "POST /receipts HTTP/1.1\r\nHost: a\r\nOrigin: http://evil.example\r\n"
    whole = f"{head}Content-Length: {len(inside)}\r\n\r\n".encode() + inside
    chunk = f"{len(inside):x}\r\n".encode() + inside + b"\r\n0\r\n\r\n"
    in_chunks = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk
    last = b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    for first in (whole, in_chunks):
        received = exchange(shared_taker, first + last)
        assert [answer.status for answer in answers_of(received)] == [403, 404]


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", ORIGIN + ".evil.example", "http://gateway.example.evil", "*"],
)
def test_pages_of_other_origins_are_refused(shared_taker: Gateway, origin: str) -> None:
    counted = Counted(shared_taker)
    answer = post(shared_taker, HEAD + "hidden thread 1", origin)
    assert answer.status == 403
    assert answer.header("access-control-allow-origin") is None
    counted.wait_for(receipts_refused__origin=1)


def test_the_sites_pages_and_those_of_the_gateways_own_host_are_taken(
    shared_taker: Gateway,
) -> None:
    counted = Counted(shared_taker)
    for origin in (ORIGIN, "http://gateway.example", "https://gateway.example", ""):
        answer = post(shared_taker, HEAD + "hidden thread 1", origin)
        assert answer.status == 204
        allowed = answer.header("access-control-allow-origin")
        assert allowed == (ORIGIN if origin == ORIGIN else None)
    counted.wait_for(receipts__hidden__thread=4)


def test_a_clients_word_becomes_no_label(shared_taker: Gateway) -> None:
    counted = Counted(shared_taker)
    lines = "\n".join(f"hidden made-up-{number} 1" for number in range(300))
    assert post(shared_taker, HEAD + lines).status == 204
    counted.wait_for(receipts__hidden__other=300)
    assert "made-up" not in shared_taker.private("GET", "/metrics").body.decode()


def test_frames_are_expected_of_streams_that_promise_receipts_and_of_no_others(
    taker: Gateway, stream: Stream
) -> None:
    log = LogWriter(taker)
    counted = Counted(taker)
    promising = [stream(taker, "thread:1/forum:1", "other.type+test.happened") for _ in range(3)]
    others = [
        stream(taker, "thread:1/forum:1"),
        stream(taker, "thread:1/forum:1", "other.type"),
        stream(taker, "thread:1/forum:1", "x" * 2100),
    ]
    for names in (("thread:1",), ("thread:1", "forum:1"), ("forum:1", "thread:1"), ("post:9",)):
        log.append(*names, channels=list(names))
    for subscriber in [*promising, *others]:
        subscriber.wait_for(3)
    counted.wait_for(receipts_expected__thread=6, receipts_expected__forum=3)


def test_frames_that_are_sent_again_out_of_history_are_expected_too(
    taker: Gateway, stream: Stream
) -> None:
    log = LogWriter(taker)
    counted = Counted(taker)
    cursor = log.now()
    for _ in range(4):
        log.append("thread:1", channels=["thread:1"])
    log.append("thread:1", channels=["nothing to say of it"])
    log.wait_until_followed()
    subscriber = stream(taker, "thread:1", "test.happened", cursor)
    subscriber.wait_for(5)
    stream(taker, "thread:1", "", cursor).wait_for(5)
    counted.wait_for(receipts_expected__thread=4, receipts_expected__other=1)


def test_prefixes_are_learnt_from_the_log(taker: Gateway, stream: Stream) -> None:
    log = LogWriter(taker)
    subscriber = stream(taker, "post:1", "test.happened")
    for number in range(25):
        log.append("post:1", channels=[f"team{number}:1", "post:1"])
    subscriber.wait_for(25)

    def labels() -> set[str]:
        names = [name.split(" ") for name in receipts_of(taker)]
        return {words[1] for words in names if words[0] == "receipts_expected"}

    learnt = {*(f"team{number}" for number in range(20)), "other"}
    wait_until(lambda: labels() == learnt, DEADLINE_SECONDS, "the labels are there")
    counted = Counted(taker)
    assert post(taker, HEAD + "hidden team3 1\nhidden team24 1").status == 204
    counted.wait_for(receipts__hidden__team3=1, receipts__hidden__other=1)


def test_receipts_come_no_faster_than_connects_may_and_cost_them_nothing(
    gateway_with: GatewayWith, stream: Stream
) -> None:
    gateway = gateway_with(PUSHGATE_RECEIPTS="on", PUSHGATE_CONNECTS_PER_SECOND="2")
    statuses = [post(gateway, HEAD, "").status for _ in range(12)]
    assert statuses[:2] == [204, 204]
    assert set(statuses) == {204, 429}
    assert stream(gateway, "thread:1").events == []


def test_nothing_personal_is_logged(taker: Gateway, log_file: Path) -> None:
    headers = (
        f"Cookie: pushgate={SECRET}; session={SECRET}\r\nReferer: {ORIGIN}/page?token={SECRET}"
    )
    for body in (HEAD + "hidden thread 1", HEAD + f"hidden {SECRET}", "x" * 20_000):
        for origin in (ORIGIN, "http://evil.example"):
            post(taker, body, origin, headers, f"?token={SECRET}")
    wait_until(
        lambda: log_file.read_text().count('"path":"/receipts"') == 6, DEADLINE_SECONDS, "logged"
    )
    os.kill(taker.pid, signal.SIGUSR1)
    for path in taker.directory.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in log_file.read_text()
    assert '"reason":"malformed"' in log_file.read_text()
