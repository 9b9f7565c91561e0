"""Whatever stands in Redis where something else belongs: passed over, counted and said once, or
told to those it concerns; and when it is mended all goes on by itself."""

from typing import Any

import pytest

from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, LogWriter, OwnGateway, Subscribe, Subscriber

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

FRAME = b'event: x\ndata: {"n": 0}\n\n'


def garbage(channel: str) -> list[dict[Any, Any]]:
    """Entries of which none is a frame or a deletion."""
    mark = channel.encode()
    frames = [
        b"no frame at all",
        b"\n\n",
        b"event: x\n\n",
        b'data: {"n": 0}\n\n',
        FRAME[:-1],
        FRAME + b"\n",
        FRAME * 2,
        b"id: 9\n" + FRAME,
        b"event: x\nid: 9-9\ndata: {}\n\n",
        b"event: x\nretry: 1\ndata: {}\n\n",
        b"event: x\nevent: reset\ndata: {}\n\n",
        b"event: reset\ndata: {}\n\n",
        b"event: error\ndata: {}\n\n",
        b"event: x\r\ndata: {}\n\n",
        b"event: x\ndata: a\rid: 1\n\n",
        b"event: x\ndata: \0\n\n",
        b"event: x\ndata: \xff\xfe\n\n",
        b"event: x\ndata: \xc3\n\n",
        b"event: x\ndata: \xed\xa0\x80\n\n",
        bytes(range(256)),
        b"event: x\ndata: " + b"x" * 1_100_000 + b"\n\n",
    ]
    names = [
        b"",
        b" ",
        b"Not A Channel!",
        b"_all",
        mark + b" ",
        mark + b"  " + mark,
        mark + b" ../etc",
        mark + b".b5",
        mark + b"\nid: 1",
        mark + b"\0",
        b"thread:" + b"1" * 200,
        b" ".join(mark + b".%d" % n for n in range(17)),
        b"\xff" * 40,
    ]
    return [
        {"something": "else"},
        {"channels": mark},
        {"frame": FRAME},
        {"frame": FRAME, "channels": mark},
        {"CHANNELS": mark, "FRAME": FRAME},
        {"channels": mark, "event": "{}", "frame": FRAME},
        {b"\xff\0": b"\xff\0"},
        *({"channels": mark, "frame": frame} for frame in frames),
        *({"channels": name, "frame": FRAME} for name in names),
    ]


def test_what_is_no_frame_is_passed_over_and_said_once(own_gateway: OwnGateway) -> None:
    log, channel = own_gateway.log, "thread:1"
    subscriber = Subscriber(own_gateway.client(channel)).connect()
    entries = garbage(channel)
    for n, entry in enumerate(entries):
        log.client.xadd(log.keys.log, entry)
        log.append(channel, n=n)
    events = subscriber.wait_for(len(entries))
    assert subscriber.numbers() == list(range(len(entries)))
    assert {event.type for event in events} == {"test.happened"}
    assert subscriber.client.connected
    text = own_gateway.gateway.log.read_text(encoding="utf-8")
    assert text.count("passed over") == 1
    assert "passed over the log's entry" in text
    subscriber.client.close()


def test_an_end_of_the_log_that_is_garbage_is_not_waited_for(
    log: LogWriter, subscribe: Subscribe, channel: str
) -> None:
    log.client.xadd(log.keys.log, {"some": "thing"})
    now = log.wait_until_followed()
    assert subscribe(channel).client.last_event_id == now


def test_garbage_in_a_history_is_passed_over(
    log: LogWriter, subscribe: Subscribe, channel: str
) -> None:
    start = log.now()
    entries = garbage(channel)
    for n, entry in enumerate(entries):
        entry_id = log.append(channel + ".other").partition(".")[2]
        log.client.xadd(log.keys.channel(channel), entry, id=entry_id)
        log.append(channel, n=n)
    subscriber = subscribe(channel, cursor=start)
    subscriber.wait_for(len(entries))
    assert subscriber.numbers() == list(range(len(entries)))
    log.wait_until_followed()
    backlog = subscribe(f"{channel}.b100")
    backlog.wait_for(len(entries))
    assert backlog.numbers() == list(range(len(entries)))


def test_a_history_of_another_type_is_a_reset_until_it_is_mended(
    log: LogWriter, subscribe: Subscribe, channel: str
) -> None:
    first = log.append(channel, n=1)
    log.append(channel, n=2)
    log.wait_until_followed()
    log.client.rename(log.keys.channel(channel), log.keys.channel(channel) + "-kept")
    log.client.rpush(log.keys.channel(channel), "garbage")
    assert '"history"' in subscribe(channel, cursor=first).wait_for(1)[0].data
    assert subscribe(f"{channel}.b3").client.connected
    log.client.rename(log.keys.channel(channel) + "-kept", log.keys.channel(channel))
    mended = subscribe(channel, cursor=first)
    mended.wait_for(1)
    assert mended.numbers() == [2]


def is_unready(own: OwnGateway, sentence: str) -> None:
    """Returns when the gateway says what is wrong."""
    wait_until(
        lambda: sentence in own.gateway.private("GET", "/readyz").body.decode(),
        DEADLINE_SECONDS,
        f"the gateway says {sentence!r}",
    )
    assert own.gateway.private("GET", "/readyz").status == 503


@pytest.mark.parametrize(("key", "sentence"), [("epoch", "holds no epoch"), ("log", "WRONGTYPE")])
def test_a_key_with_garbage_in_it_is_said_and_costs_latency_alone(
    own_gateway: OwnGateway, key: str, sentence: str
) -> None:
    log = own_gateway.log
    name = getattr(log.keys, key)
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    before = log.append("thread:1", n=1)
    log.append("thread:1", n=2)
    subscriber.wait_for(2)
    log.wait_until_followed()
    log.client.rename(name, name + "-kept")
    log.client.set(name, "garbage")
    is_unready(own_gateway, sentence)
    resuming = Subscriber(own_gateway.client("thread:1", before)).connect()
    if key == "epoch":
        # Nobody is told of a loss that is none.
        resuming.wait_until_ended()
        assert [event.type for event in resuming.events] == ["error"]
    log.client.rename(name + "-kept", name)
    own_gateway.gateway.wait_until_ready(DEADLINE_SECONDS)
    log.append("thread:1", n=3)
    subscriber.wait_for(3)
    assert subscriber.numbers() == [1, 2, 3]
    resumed = Subscriber(own_gateway.client("thread:1", before)).connect()
    resumed.wait_for(2)
    assert resumed.numbers() == [2, 3]
    for each in (subscriber, resuming, resumed):
        each.client.close()


def test_an_id_beyond_any_cursor_is_said_until_the_log_is_deleted(own_gateway: OwnGateway) -> None:
    log = own_gateway.log
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    log.append("thread:1", n=1)
    subscriber.wait_for(1)
    entry: dict[Any, Any] = {"channels": "thread:1", "frame": FRAME}
    log.client.xadd(log.keys.log, entry, id="9999999999999999-0")
    is_unready(own_gateway, "no cursor can hold")
    log.client.delete(log.keys.log)
    own_gateway.gateway.wait_until_ready(DEADLINE_SECONDS)
    log.append("thread:1", n=2)

    def has_come() -> bool:
        if not subscriber.client.connected:
            subscriber.connect()
        subscriber.events += subscriber.client.events(0.2)
        return 2 in subscriber.numbers()

    wait_until(has_come, DEADLINE_SECONDS, "the frame after the garbage is there")
    assert subscriber.numbers() == [1, 2]
    subscriber.client.close()
