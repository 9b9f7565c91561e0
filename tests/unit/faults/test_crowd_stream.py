"""A reader of the crowd takes a stream apart in the same way wherever it was cut."""

from __future__ import annotations

import random

import pytest

from tests.faults.evidence import ReaderHistory, Sign
from tests.faults.readers.crowd_stream import BlockTable, CrowdStream, NoStream

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
PLAIN_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def frame(number: int) -> bytes:
    """A frame, of a length of its own."""
    return b'id: aaaaaaaa.%d-0\nevent: comment.created\ndata: {"text":"%s"}' % (
        number,
        b"x" * (number * 7 % 300),
    )


def chunked(text: bytes, chosen: random.Random) -> bytes:
    """The text in chunks of random sizes, and the last one."""
    parts, at = [], 0
    while at < len(text):
        part = text[at : at + chosen.choice((1, 2, 30, 300, 3000))]
        parts.append(b"%x\r\n%s\r\n" % (len(part), part))
        at += len(part)
    return b"".join([*parts, b"0\r\n\r\n"])


def stream_of(table: BlockTable | None = None) -> CrowdStream:
    """A reader that has got nothing."""
    return CrowdStream(table or BlockTable(), ReaderHistory("reader 1", ("thread:7",)))


PROLOGUE = b"retry: 1500\nid: aaaaaaaa.5-0\n\n"
RESET = b'id: bbbbbbbb.70-0\nevent: reset\ndata: {"reason":"epoch","cursor":"bbbbbbbb.70-0"}\n\n'


@pytest.mark.parametrize("sizes", [(1,), (1, 2, 3, 5), (1, 40, 400), (65536,)])
@pytest.mark.parametrize("head", [HEAD, PLAIN_HEAD])
def test_a_stream_is_the_same_wherever_it_was_cut(sizes, head):
    seed = 6
    chosen = random.Random(seed)
    body = PROLOGUE + b"".join(frame(number) + b"\n\n" for number in range(10, 40)) + b":\n\n"
    body += RESET + b"".join(frame(number) + b"\n\n:\n\n" for number in range(80, 90))
    body += b"id: bbbbbbbb.99-0\n\n"
    data = head + (chunked(body, chosen) if head is HEAD else body)
    stream = stream_of()
    at = 0
    while at < len(data):
        part = data[at : at + chosen.choice(sizes)]
        at += len(part)
        stream.receive(part, now=1.0)
    assert stream.has_ended == (head is HEAD)
    assert [stream.table.blocks[number] for number in stream.history.frames] == [
        frame(number) for number in (*range(10, 40), *range(80, 90))
    ]
    subscribed, reset = stream.history.marks
    assert (subscribed.sign, subscribed.cursor, subscribed.after) == (
        Sign.SUBSCRIBED,
        "aaaaaaaa.5-0",
        0,
    )
    assert (reset.sign, reset.cursor, reset.reason, reset.after) == (
        Sign.RESET,
        "bbbbbbbb.70-0",
        "epoch",
        30,
    )
    assert stream.retry_seconds == 1.5
    assert stream.last_id == b"bbbbbbbb.99-0"


def test_whole_frames_are_known_by_their_read_and_count_once_for_each_reader():
    table = BlockTable()
    readers = [stream_of(table) for _ in range(3)]
    chunk = b"%x\r\n%s\n\n\r\n" % (len(frame(10)) + 2, frame(10))
    prologue = b"%x\r\n%s\r\n" % (len(PROLOGUE), PROLOGUE)
    for reader in readers:
        reader.receive(HEAD + prologue, now=1.0)
        reader.receive(chunk, now=2.0)
    assert table.whole == {chunk: 0}
    assert [list(reader.history.frames) for reader in readers] == [[0]] * 3
    assert [reader.last_id for reader in readers] == [b"aaaaaaaa.10-0"] * 3


def test_the_end_of_a_frame_that_came_in_two_reads_is_not_taken_for_a_frame():
    table = BlockTable()
    first, second = stream_of(table), stream_of(table)
    chunk = b"%x\r\n%s\n\n\r\n" % (len(frame(10)) + 2, frame(10))
    for reader in (first, second):
        reader.receive(HEAD + b"%x\r\n%s\r\n" % (len(PROLOGUE), PROLOGUE), now=1.0)
    second.receive(chunk[:50], now=2.0)
    first.receive(chunk, now=2.0)
    second.receive(chunk[50:], now=2.0)
    assert list(second.history.frames) == [0]


def test_a_frame_that_did_not_end_is_forgotten_and_asked_for_again():
    stream = stream_of()
    stream.receive(PLAIN_HEAD + PROLOGUE + frame(10) + b"\n\n" + frame(11), now=1.0)
    stream.end(now=2.0)
    assert stream.last_id == b"aaaaaaaa.10-0"
    stream.receive(PLAIN_HEAD + b"id: aaaaaaaa.10-0\n\n" + frame(11) + b"\n\n", now=3.0)
    assert [mark.sign for mark in stream.history.marks] == [
        Sign.SUBSCRIBED,
        Sign.ENDED,
        Sign.SUBSCRIBED,
    ]
    assert list(stream.history.frames) == [0, 1]


def test_an_error_event_and_a_status_are_noted():
    stream = stream_of()
    stream.receive(
        PLAIN_HEAD + b'retry: 9000\nevent: error\ndata: {"reason":"overload"}\n\n', now=1.0
    )
    assert (stream.is_refused, stream.is_subscribed, stream.retry_seconds) == (True, False, 9)
    stream.end(now=2.0)
    stream.receive(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n", now=3.0)
    assert stream.is_refused
    assert [(mark.sign, mark.reason) for mark in stream.history.marks] == [
        (Sign.ERROR, "overload"),
        (Sign.ERROR, "status 503"),
    ]


@pytest.mark.parametrize("data", [b"HTTP/1.1\r\n\r\n", HEAD + b"zz\r\n", HEAD + b"1" * 2000])
def test_what_is_no_stream_is_refused(data):
    with pytest.raises(NoStream):
        stream_of().receive(data, now=1.0)
