"""Whatever stands in the log and in histories: no subscriber gets a block that is not a frame.

`FUZZ_ENTRIES=50000 pytest tests/gateway/test_fuzz_log.py` looks longer, `FUZZ_SEED` elsewhere.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.gateway.conftest import OwnGateway, Subscriber
from tests.gateway.odd_requests import WATCHED
from tests.gateway.scrutiny import Scrutiny, channels_of

ENTRIES = int(os.environ.get("FUZZ_ENTRIES", "1000"))
SEED = int(os.environ.get("FUZZ_SEED", "2014"))

pytestmark = [
    pytest.mark.real_redis,
    pytest.mark.real_gateway,
    pytest.mark.timeout(300 + ENTRIES // 50),
]

APPEND = """
local id = redis.call("xadd", KEYS[1], "*", unpack(ARGV))
redis.call("xadd", KEYS[2], id, unpack(ARGV))
return id
"""
"""Into the log and into a history, as `finish` does, but whatever it is."""

LINES = st.one_of(
    st.sampled_from(
        [
            *(
                b"event: a",
                b"event: a",
                b"data: {}",
                b"data: {}",
                b"event:a",
                b"data:{}",
                b"event: ",
            ),
            *(b"data: ", b"id: 1", b"id", b"id:", b"retry: 1", b"retry", b": comment", b":", b""),
            *(
                b"event",
                b"data",
                b"event: a\r",
                b"data: {}\r",
                b"data: \0",
                b"data: \xff",
                b"\xef\xbb\xbf",
            ),
            *(
                b"data: {}\rid: 9",
                b"event: reset",
                b"event: a\x0bid: 9",
                b"data: \xe2\x80\xa8id: 9",
            ),
        ]
    ),
    st.binary(max_size=8),
)
FRAMES = st.one_of(
    st.just(b'event: a\ndata: {"n":1}\n\n'),
    # One line too many.
    st.builds(lambda line: b"event: a\n" + line + b"\ndata: {}\n\n", LINES),
    st.builds(lambda line: b"event: a\ndata: {}\n" + line + b"\n\n", LINES),
    # One line too few, or another in its place.
    st.builds(lambda line: b"event: a\n" + line + b"\n\n", LINES),
    st.builds(lambda line: line + b"\ndata: {}\n\n", LINES),
    st.builds(
        lambda lines, end: b"\n".join(lines) + end,
        st.lists(LINES, min_size=1, max_size=5),
        st.sampled_from([b"\n\n", b"\n\n", b"\n\n", b"\n", b"", b"\n\n\n", b"\r\n\r\n"]),
    ),
    st.binary(max_size=40),
)
NAMES = st.one_of(
    st.just(WATCHED.encode()),
    st.sampled_from(
        [
            *(
                b"thread:2",
                b"thread:3",
                b"A",
                b"",
                b" ",
                b"a/b",
                b"_all",
                b"thread:1.b5",
                b"a\n",
                b"\0",
            ),
            *(b"thread:2?id=x", b"thread:2&id=x", b"%61", b"x\r\nHost: y", b"a" * 127, b"a" * 128),
        ]
    ),
    st.binary(max_size=4),
)
CHANNELS = st.lists(NAMES, max_size=18).map(b" ".join)
FIELDS = st.one_of(
    st.tuples(st.just(b"channels"), CHANNELS, st.just(b"frame"), FRAMES),
    st.tuples(st.just(b"channels"), st.just(WATCHED.encode()), st.just(b"frame"), FRAMES),
    st.tuples(st.just(b"frame"), FRAMES, st.just(b"channels"), CHANNELS),
    st.tuples(st.just(b"channels"), CHANNELS, st.just(b"frame"), FRAMES, st.just(b"x"), FRAMES),
    st.tuples(st.binary(max_size=3), st.binary(max_size=3)),
)


@pytest.fixture
def scrutiny(own_gateway: OwnGateway) -> Iterator[Scrutiny]:
    """Watches the test's own gateway."""
    looking = Scrutiny(own_gateway, (WATCHED,), (WATCHED, "thread:2"), ("thread:3", WATCHED))
    yield looking
    looking.close()


def test_no_entry_of_the_log_becomes_a_broken_block(
    own_gateway: OwnGateway, scrutiny: Scrutiny
) -> None:
    log = own_gateway.log
    entries = 0

    @seed(SEED)
    @settings(
        max_examples=ENTRIES // 8,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(FIELDS, min_size=1, max_size=20))
    def every_block_is_a_frame(garbage: list[tuple[bytes, ...]]) -> None:
        nonlocal entries
        scrutiny.begin()
        before = log.now()
        sound = []
        with log.client.pipeline(transaction=False) as together:
            for fields in garbage:
                together.eval(APPEND, 2, log.keys.log, log.keys.channel(WATCHED), *fields)
            ids = together.execute()
        for entry_id, fields in zip(ids, garbage, strict=True):
            pairs = dict(zip(fields[::2], fields[1::2], strict=True))
            if WATCHED in channels_of(pairs) and pairs[b"frame"]:
                sound.append((f"{log.epoch()}.{entry_id.decode()}", pairs[b"frame"]))
        # Live: each subscriber's bytes are the log's.
        scrutiny.check()
        # From history: the same frames, however the garbage lies between them.
        resumed = Subscriber(own_gateway.client(WATCHED, before)).connect()
        events = resumed.wait_for(len(sound) + 1)
        resumed.client.close()
        assert [event.id for event in events[:-1]] == [cursor for cursor, _ in sound]
        for event, (_, frame) in zip(events, sound, strict=False):
            data = frame.partition(b"\ndata: ")[2][:-2].decode("utf-8", "replace")
            assert (event.type, event.data) == (event_type_of(frame), data)
        entries += len(garbage)

    every_block_is_a_frame()
    print(f"seed {SEED}: {entries} entries")
    assert entries > ENTRIES / 2


def event_type_of(frame: bytes) -> str:
    """What an EventSource makes of a sound frame's first line."""
    return frame.partition(b"\n")[0].removeprefix(b"event: ").decode("utf-8", "replace")
