"""What a subscriber gets: the prologue, frames in order, what it missed, each once."""

import json
from typing import Any

import pytest

from loadtest.eventsource import EventSourceClient
from stack.gateway import Gateway
from stack.process import wait_until
from tests.gateway.conftest import (
    DEADLINE_SECONDS,
    LogWriter,
    OwnGateway,
    Subscribe,
    Subscriber,
    ask,
)

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_a_connection_begins_with_its_retry_and_the_cursor_now(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    assert subscriber.client.last_event_id.startswith(log.epoch() + ".")
    assert 200 <= (subscriber.client.parser.retry_ms or 0) <= 400
    assert subscriber.events == []


def test_the_stream_says_what_it_is_and_is_never_kept(subscribe: Subscribe, channel: str) -> None:
    headers = subscribe(channel).client.answer_headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "no-cache" in headers["cache-control"]
    assert "no-store" in headers["cache-control"]
    assert headers["x-accel-buffering"] == "no"


def test_frames_come_live_in_order_under_their_log_ids(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    cursors = [log.append(channel, n=n) for n in range(50)]
    events = subscriber.wait_for(50)
    assert subscriber.numbers() == list(range(50))
    assert [event.id for event in events] == cursors
    assert {event.type for event in events} == {"test.happened"}


def test_a_frame_of_another_channel_does_not_come(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    log.append("thread:elsewhere", n=1)
    log.append(channel, n=2)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [2]


def test_resuming_gives_exactly_what_came_after_the_cursor(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, n=n) for n in range(10)]
    subscriber = subscribe(channel, cursor=cursors[3])
    subscriber.wait_for(6)
    log.append(channel, n=10)
    subscriber.wait_for(7)
    assert subscriber.numbers() == [4, 5, 6, 7, 8, 9, 10]


def test_resuming_at_the_end_gives_nothing_old(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    last = [log.append(channel, n=n) for n in range(3)][-1]
    subscriber = subscribe(channel, cursor=last)
    assert subscriber.client.last_event_id == last
    log.append(channel, n=3)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [3]


def test_the_cursor_may_come_in_the_query(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, n=n) for n in range(5)]
    subscriber = subscribe(channel, query=f"?last_event_id={cursors[1]}")
    subscriber.wait_for(3)
    assert subscriber.numbers() == [2, 3, 4]


def test_the_header_wins_over_the_query(subscribe: Subscribe, log: LogWriter, channel: str) -> None:
    cursors = [log.append(channel, n=n) for n in range(5)]
    subscriber = subscribe(channel, cursor=cursors[3], query=f"?last_event_id={cursors[0]}")
    subscriber.wait_for(1)
    assert subscriber.numbers() == [4]


def test_a_backlog_gives_the_last_frames_first(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    for n in range(10):
        log.append(channel, n=n)
    log.wait_until_followed()
    subscriber = subscribe(f"{channel}.b3")
    log.append(channel, n=10)
    subscriber.wait_for(4)
    assert subscriber.numbers() == [7, 8, 9, 10]


def test_a_reconnect_does_not_repeat_the_backlog(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, n=n) for n in range(4)]
    subscriber = subscribe(f"{channel}.b3", cursor=cursors[2])
    log.append(channel, n=4)
    subscriber.wait_for(2)
    assert subscriber.numbers() == [3, 4]


def test_after_a_backlog_the_browser_resumes_at_now(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    old = log.append(channel, n=0)
    log.append("thread:elsewhere")
    now = log.wait_until_followed()
    subscriber = subscribe(f"{channel}.b1")
    assert subscriber.wait_for(1)[0].id == old
    while subscriber.client.last_event_id == old:
        subscriber.events += subscriber.client.read(DEADLINE_SECONDS)
    assert subscriber.client.last_event_id == now


def test_an_entry_that_names_two_channels_comes_once(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    other = channel + ".other"
    start = log.now()
    for n in range(4):
        log.append(channel, other, n=n)
    subscriber = subscribe([channel, other], cursor=start)
    for n in range(4, 8):
        log.append(other, channel, n=n)
    log.append(channel, n=8)
    subscriber.wait_for(9)
    assert subscriber.numbers() == list(range(9))


def test_several_channels_come_in_the_logs_order(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    channels = [f"{channel}.{i}" for i in range(3)]
    start = log.now()
    for n in range(30):
        log.append(channels[n % 3], n=n)
    subscriber = subscribe(channels, cursor=start)
    for n in range(30, 60):
        log.append(channels[n % 3], n=n)
    subscriber.wait_for(60)
    assert subscriber.numbers() == list(range(60))


def test_a_channel_named_twice_is_one_subscription(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe([channel, channel])
    for n in range(3):
        log.append(channel, n=n)
    subscriber.wait_for(3)
    assert subscriber.numbers() == [0, 1, 2]


def test_a_percent_encoded_channel_is_the_same_channel(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel.replace(":", "%3A"))
    log.append(channel, n=1)
    subscriber.wait_for(1)


def test_a_frame_of_64_kb_that_doubled_on_the_way_arrives_whole(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    text = '"\\' * 65536
    log.append(channel, text=text)
    event = subscriber.wait_for(1)[0]
    assert json.loads(event.data)["text"] == text


def test_a_frame_too_large_to_go_live_comes_by_history(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    log.append(channel, n=1)
    log.append(channel, n=2, text="x" * 600_000)
    log.append(channel, n=3)
    subscriber.wait_for(1)
    subscriber.wait_until_ended()
    subscriber.connect()
    subscriber.wait_for(3)
    assert subscriber.numbers() == [1, 2, 3]


def test_a_long_history_comes_in_parts_without_a_gap(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    start = log.now()
    for n in range(150):
        log.append(channel, n=n, text="x" * 65536)
    subscriber = subscribe(channel, cursor=start)
    connects = 1
    while len(subscriber.events) < 150:
        subscriber.events += subscriber.client.events(0.5)
        if not subscriber.client.connected:
            subscriber.connect()
            connects += 1
    assert connects > 1
    assert subscriber.numbers() == list(range(150))


def test_malformed_log_entries_are_skipped_and_the_stream_goes_on(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    key = log.keys.log
    frame = 'event: x\ndata: {"n": 0}\n\n'
    log.client.xadd(key, {"something": "else"})
    log.client.xadd(key, {"channels": "Not A Channel!", "frame": frame})
    log.client.xadd(key, {"channels": channel, "frame": "no frame at all"})
    log.client.xadd(key, {"channels": channel, "frame": "id: 9\n" + frame})
    log.client.xadd(key, {"channels": channel, "frame": frame + frame})
    log.append(channel, n=1)
    log.client.xadd(key, {"channels": channel, "frame": b"\xff\r\n\0"})
    log.append(channel, n=2)
    subscriber.wait_for(2)
    assert subscriber.numbers() == [1, 2]


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("/sub/Thread:1", 400, "a channel is 1-127 of a-z"),
        ("/sub/", 400, "a channel is 1-127 of a-z"),
        ("/sub/thread:1//thread:2", 400, "a channel is 1-127 of a-z"),
        ("/sub/thread:1/", 400, "a channel is 1-127 of a-z"),
        ("/sub/thread:1.b5.b6", 400, "a channel is 1-127 of a-z"),
        ("/sub/thread%0A1", 400, "a channel is 1-127 of a-z"),
        ("/sub/_all", 400, "a channel is 1-127 of a-z"),
        ("/sub/ALL", 400, "a channel is 1-127 of a-z"),
        ("/sub/thread:*", 400, "a channel is 1-127 of a-z"),
        ("/sub/thread:" + "1" * 121, 400, "a channel is 1-127 of a-z"),
        ("/sub/" + "/".join(f"thread:{n}" for n in range(17)), 400, "too many channels"),
        ("/x/../sub/thread:1", 400, "write the address as /sub/<channel>"),
        ("/sub/secret:1", 403, "is not public"),
        ("/sub/thread:1/user:9", 403, "is not public"),
    ],
)
def test_a_bad_address_gets_one_sentence(
    gateway: Gateway, target: str, status: int, words: str
) -> None:
    answer = ask(gateway, "GET", target)
    assert answer.status == status
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert words in answer.body.decode()
    assert answer.body.count(b"\n") == 1


def test_what_lies_behind_a_refused_frame_does_not_overtake_it(own_gateway: OwnGateway) -> None:
    """The tail hands over in batches; all of these are in one."""
    log, channel = own_gateway.log, "thread:1"
    subscriber = Subscriber(own_gateway.client(channel)).connect()
    ms = int(log.now().partition(".")[2].partition("-")[0]) + 60_000
    with log.client.pipeline(transaction=True) as together:
        for n in range(1, 31):
            text = "x" * 600_000 if n in (10, 11, 20) else "small"
            line = json.dumps({"n": n, "text": text})
            fields: dict[Any, Any] = {"channels": channel, "frame": f"event: x\ndata: {line}\n\n"}
            together.xadd(log.keys.log, fields, id=f"{ms}-{n}")
            together.xadd(log.keys.channel(channel), fields, id=f"{ms}-{n}")
        together.execute()

    def all_are_there() -> bool:
        if not subscriber.client.connected:
            subscriber.connect()
        subscriber.events += subscriber.client.events(0.2)
        return len(subscriber.events) >= 30

    wait_until(all_are_there, DEADLINE_SECONDS, "all frames are there")
    assert subscriber.numbers() == list(range(1, 31))
    subscriber.client.close()


def test_nothing_on_the_way_is_to_buffer_or_compress_a_stream(
    gateway: Gateway, channel: str
) -> None:
    headers = {"Accept-Encoding": "gzip, br"}
    with EventSourceClient(f"{gateway.url}/sub/{channel}", headers=headers) as client:
        client.connect()
        assert client.answer_headers["x-accel-buffering"] == "no"
        assert "no-cache" in client.answer_headers["cache-control"]
        assert "content-encoding" not in client.answer_headers
