"""Every gap is told, with its reason; and none that is none."""

import json
from typing import Any

import pytest

from tests.gateway.conftest import LogWriter, OwnGateway, Subscribe, Subscriber

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def the_reset(subscriber: Subscriber) -> dict[str, str]:
    event = subscriber.wait_for(1)[0]
    assert event.type == "reset"
    data: dict[str, str] = json.loads(event.data)
    assert event.id == data["cursor"]
    return data


@pytest.mark.parametrize(
    "cursor",
    ["zzz", "1-1", "0a1b2c3d.1", "0a1b2c3d.01-0", "0A1B2C3D.1-0", "x" * 2000, "a: b", "\xe9"],
)
def test_a_malformed_cursor_is_a_reset_and_the_stream_goes_on(
    subscribe: Subscribe, log: LogWriter, channel: str, cursor: str
) -> None:
    log.append(channel, n=0)
    now = log.wait_until_followed()
    subscriber = subscribe(channel, cursor=cursor)
    assert the_reset(subscriber) == {"reason": "cursor", "cursor": now}
    log.append(channel, n=1)
    subscriber.wait_for(2)
    assert subscriber.numbers() == [1]


def test_a_cursor_beyond_the_log_is_a_reset(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel, cursor=f"{log.epoch()}.999999999999999-0")
    assert the_reset(subscriber)["reason"] == "cursor"
    log.append(channel, n=1)
    subscriber.wait_for(2)
    assert subscriber.numbers() == [1]


def test_a_cursor_of_another_epoch_is_a_reset(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursor = log.append(channel)
    epoch = "00000000" if log.epoch() != "00000000" else "00000001"
    subscriber = subscribe(channel, cursor=epoch + cursor[8:])
    assert the_reset(subscriber)["reason"] == "epoch"


def test_who_is_cut_off_before_it_has_the_reset_has_no_new_position_either(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    """Else it would resume from there, and nobody would ever tell it of the gap."""
    log.append(channel)
    log.wait_until_followed()
    subscriber = subscribe(channel, cursor="zzz")
    the_reset(subscriber)
    assert subscriber.client.parser.blocks == 1


def test_a_history_cut_behind_the_cursor_is_a_reset(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, history_length=5, n=n) for n in range(12)]
    # A reset names where the gateway is; what it has not handed over yet comes live after it.
    now = log.wait_until_followed()
    subscriber = subscribe(channel, cursor=cursors[4])
    assert the_reset(subscriber) == {"reason": "history", "cursor": now}
    log.append(channel, n=12)
    subscriber.wait_for(2)
    assert subscriber.numbers() == [12]


def test_a_history_that_just_reaches_back_is_no_reset(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, history_length=5, n=n) for n in range(12)]
    subscriber = subscribe(channel, cursor=cursors[6])
    subscriber.wait_for(5)
    assert subscriber.numbers() == [7, 8, 9, 10, 11]


def test_one_of_two_channels_that_does_not_reach_back_is_a_reset(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursor = log.append(channel, n=0)
    for _ in range(3):
        log.append(channel + ".short", history_length=1)
    # To a gateway that is still at the cursor nothing is gone: it has all that follows before it.
    log.wait_until_followed()
    subscriber = subscribe([channel, channel + ".short"], cursor=cursor)
    assert the_reset(subscriber)["reason"] == "history"


FRAME = 'event: x\ndata: {"n": 0}\n\n'


def begin_log_long_ago(own_gateway: OwnGateway, *channels: str) -> list[str]:
    """Replaces the log by one that began over an hour ago; returns its cursors."""
    log = own_gateway.log
    own_gateway.gateway.stop()
    log.client.flushall()
    seconds, _ = log.client.time()
    ids = [f"{(seconds - 4000 + 100 * i) * 1000}-0" for i in range(len(channels))]
    for entry_id, channel in zip(ids, channels, strict=True):
        log.client.xadd(log.keys.log, {"channels": channel, "frame": FRAME}, id=entry_id)
    own_gateway.gateway.start()
    return [f"{log.epoch()}.{entry_id}" for entry_id in ids]


def test_a_cursor_older_than_any_history_is_a_reset(own_gateway: OwnGateway) -> None:
    cursor, _ = begin_log_long_ago(own_gateway, "thread:1", "thread:2")
    own_gateway.log.append("thread:3")
    subscriber = Subscriber(own_gateway.client("thread:1", cursor)).connect()
    assert the_reset(subscriber)["reason"] == "history"
    subscriber.client.close()


def test_an_old_cursor_behind_which_nothing_came_is_no_reset(own_gateway: OwnGateway) -> None:
    """A subscriber of a site at rest comes back after hours."""
    (cursor,) = begin_log_long_ago(own_gateway, "thread:1")
    at_rest = Subscriber(own_gateway.client("thread:1", cursor)).connect()
    assert at_rest.client.last_event_id == cursor
    own_gateway.log.append("thread:1", n=1)
    at_rest.wait_for(1)
    after = Subscriber(own_gateway.client("thread:1", cursor)).connect()
    after.wait_for(1)
    assert at_rest.numbers() == after.numbers() == [1]
    at_rest.client.close()
    after.client.close()


def test_the_cursor_a_log_was_begun_at_is_good_after_hours(own_gateway: OwnGateway) -> None:
    (cursor,) = begin_log_long_ago(own_gateway, "thread:1")
    log = own_gateway.log
    entry_id = cursor.partition(".")[2]
    log.client.xdel(log.keys.log, entry_id)
    # As last_id.lua leaves it.
    ask: Any = log.client.execute_command
    ask("XSETID", log.keys.log, entry_id, "ENTRIESADDED", 0, "MAXDELETEDID", entry_id)
    log.append("thread:1", n=1)
    subscriber = Subscriber(own_gateway.client("thread:1", cursor)).connect()
    subscriber.wait_for(1)
    assert subscriber.numbers() == [1]
    subscriber.client.close()


def test_a_lost_end_of_the_log_moves_the_epoch_and_everybody_is_told(
    own_gateway: OwnGateway,
) -> None:
    log = own_gateway.log
    subscriber = Subscriber(own_gateway.client("thread:1/thread:2")).connect()
    log.append("thread:1", n=1)
    subscriber.wait_for(1)
    before = log.epoch()
    # What Redis is like after it came back without its last second.
    log.client.delete(log.keys.log)
    log.client.xadd(
        log.keys.log, {"channels": "thread:9", "frame": 'event: x\ndata: {"n": 0}\n\n'}, id="5-1"
    )
    reset = subscriber.wait_for(2)[1]
    assert reset.type == "reset"
    assert json.loads(reset.data) == {"reason": "epoch", "cursor": f"{log.epoch()}.5-1"}
    assert log.epoch() != before
    log.append("thread:2", n=2)
    subscriber.wait_for(3)
    assert subscriber.numbers() == [1, 2]
    assert subscriber.client.last_event_id.startswith(log.epoch())
    subscriber.client.close()


def test_no_frame_of_a_new_epoch_comes_before_its_reset(own_gateway: OwnGateway) -> None:
    """A log emptied by FLUSHALL begins anew on the connection on which the old one was followed."""
    log = own_gateway.log
    log.append("thread:1", n=1)
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    log.append("thread:1", n=2)
    subscriber.wait_for(1)
    log.client.set(log.keys.epoch, "0badc0de")
    log.append("thread:1", n=3)
    log.wait_until_followed()
    log.append("thread:1", n=4)
    assert [event.type for event in subscriber.wait_for(3)][1] == "reset"
    assert subscriber.numbers() == [2, 4]
    subscriber.client.close()


def test_an_epoch_moved_by_another_part_is_told_too(own_gateway: OwnGateway) -> None:
    log = own_gateway.log
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    log.append("thread:1", n=1)
    subscriber.wait_for(1)
    log.client.set(log.keys.epoch, "0badc0de")
    assert json.loads(subscriber.wait_for(2)[1].data)["reason"] == "epoch"
    log.append("thread:1", n=2)
    assert subscriber.wait_for(3)[2].id.startswith("0badc0de.")
    subscriber.client.close()
