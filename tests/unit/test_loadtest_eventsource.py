"""The load test's EventSource reads a stream as the HTML standard says, however it is cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import eventsource
from loadtest.eventsource import EventSourceClient, EventSourceError, EventSourceParser

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def parse(*pieces: bytes) -> tuple[EventSourceParser, list[tuple[str, str, str]]]:
    """Feed the pieces; returns the parser and (type, data, id) of each event."""
    parser = EventSourceParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return parser, [(event.type, event.data, event.id) for event in events]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        # Those of the HTML standard, section "Interpreting an event stream".
        (
            b"data: YHOO\ndata: +2\ndata: 10\n\n",
            [("message", "YHOO\n+2\n10", "")],
        ),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
            b"data:  third event\n\n",
            [
                ("message", "first event", "1"),
                ("message", "second event", ""),
                ("message", " third event", ""),
            ],
        ),
        (b"data:test\n\ndata: test\n\n", [("message", "test", "")] * 2),
        (b"event: add\ndata: 73857293\n\n", [("add", "73857293", "")]),
        (b"event: add\n\n", []),
        (b"data: unfinished\n", []),
        (b"id: 7\n\ndata: x\n\n", [("message", "x", "7")]),
        (b"id: a\0b\ndata: x\n\n", [("message", "x", "")]),
        (b"nonsense\nother: field\ndata: x\n\n", [("message", "x", "")]),
    ],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_streams_are_read_as_the_standard_says(
    stream: bytes, events: list[tuple[str, str, str]], line_end: bytes
) -> None:
    assert parse(stream.replace(b"\n", line_end))[1] == events


PROLOGUE_AND_FRAMES = (
    b"retry: 1500\nid: 0123abcd.1-0\n\n: ping\n\n"
    b'id: 0123abcd.2-0\nevent: comment.created\ndata: {"text":"Gr\xc3\xbc\xc3\x9fe"}\n\n'
    b"id: 0123abcd.3-0\r\nevent: comment.deleted\r\ndata: {}\r\n\r\ndata: last\r\r"
)


@given(st.lists(st.integers(0, len(PROLOGUE_AND_FRAMES))))
def test_where_the_network_cuts_a_stream_makes_no_difference(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(PROLOGUE_AND_FRAMES)]
    pieces = [PROLOGUE_AND_FRAMES[start:end] for start, end in zip(edges, edges[1:], strict=False)]

    parser, events = parse(*pieces)

    assert events == [
        ("comment.created", '{"text":"Grüße"}', "0123abcd.2-0"),
        ("comment.deleted", "{}", "0123abcd.3-0"),
        ("message", "last", "0123abcd.3-0"),
    ]
    assert (parser.retry_ms, parser.comments, parser.blocks) == (1500, 1, 4)


def test_what_a_broken_connection_left_unfinished_is_forgotten() -> None:
    parser = EventSourceParser()
    parser.feed(b"id: 1\ndata: whole\n\nid: 2\ndata: ha")

    parser.forget_unfinished()

    assert [event.data for event in parser.feed(b"data: next\n\n")] == ["next"]
    assert parser.last_event_id == "1"


@pytest.mark.parametrize("piece", [b"data: " + 99 * b"x", b"data: xxxxxxxxxx\n"])
def test_a_block_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    monkeypatch.setattr(eventsource, "MOST_UNFINISHED_BYTES", 1000)

    with pytest.raises(EventSourceError, match="a block does not end within 1000 bytes"):
        parse(*[piece] * 200)


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answers each connection with the next of the given answers, then closes it."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def answer(answers: tuple[bytes, ...]) -> None:
            for text in answers:
                with suppress(OSError), listener.accept()[0] as connection:
                    requests.append(connection.recv(65536))
                    connection.sendall(text)

        def _serve(*answers: bytes) -> str:
            threading.Thread(target=answer, args=(answers,), daemon=True).start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}/sub/thread:1"

        _serve.requests = requests  # type: ignore[attr-defined]
        yield _serve


def read_all(client: EventSourceClient) -> list[str]:
    """Connect and read to the end; returns the events' data."""
    events = client.connect()
    while client.connected:
        events += client.read(30)
    return [event.data for event in events]


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"\r\nid: 1\ndata: one\n\ndata: two\n\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        b"10\r\nid: 1\ndata: one\n\r\n2;x=y\r\n\nd\r\n0A\r\nata: two\n\n\r\n0\r\n\r\n",
    ],
    ids=["plain", "chunked"],
)
def test_a_client_reads_to_the_end_of_the_answer(serve: Serve, answer: bytes) -> None:
    client = EventSourceClient(serve(answer))

    assert read_all(client) == ["one", "two"]
    assert client.last_event_id == "1"


def test_a_client_that_connects_again_brings_its_last_id(serve: Serve) -> None:
    client = EventSourceClient(serve(HEAD + b"\r\nid: 0123abcd.5-0\n\n", HEAD + b"\r\n"))

    read_all(client)
    read_all(client)

    first, second = serve.requests  # type: ignore[attr-defined]
    assert b"Last-Event-ID" not in first
    assert b"\r\nLast-Event-ID: 0123abcd.5-0\r\n" in second


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n", "the answer is 400"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "the answer is 200 text/html"),
        (b"HTTP/1.1 200 OK\r\n", "the connection ended before the answer's head"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n", "a chunk begins with"),
    ],
)
def test_an_answer_that_is_no_stream_is_an_error(
    serve: Serve, answer: bytes, sentence: str
) -> None:
    with pytest.raises(EventSourceError, match=sentence):
        read_all(EventSourceClient(serve(answer)))
