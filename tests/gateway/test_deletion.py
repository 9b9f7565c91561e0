"""A channel that is deleted has no history any more, and whoever shows it is told."""

import json
from collections.abc import Iterator

import pytest

from loadtest.eventsource import ReceivedEvent
from stack.gateway import Answer, Gateway
from stack.platform import Platform
from stack.process import free_port
from tests.gateway.conftest import LogWriter, OwnGateway, Subscribe, Subscriber
from tests.gateway.polling_client import PollingClient

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def delete(gateway: Gateway, channels: str, event_id: str = "") -> Answer:
    headers = {"Event-Id": event_id} if event_id else {}
    return gateway.private("DELETE", f"/pub?id={channels}", headers=headers)


def told(event: ReceivedEvent) -> tuple[str, list[str]]:
    """The reason of a reset and the channels it is about."""
    assert event.type == "reset"
    data = json.loads(event.data)
    assert data["cursor"] == event.id
    return data["reason"], data.get("channels", [])


def test_live_subscribers_are_told_in_order_and_stay(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe([channel, channel + ".other"])
    log.append(channel, n=1)
    assert delete(gateway, channel).status == 200
    log.append(channel, n=2)
    log.append(channel + ".other", n=3)
    events = subscriber.wait_for(4)
    assert told(events[1]) == ("deleted", [channel])
    assert subscriber.numbers() == [1, 2, 3]


def test_subscribers_of_other_channels_hear_nothing(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    delete(gateway, channel + ".other")
    log.append(channel, n=1)
    assert [event.type for event in subscriber.wait_for(1)] == ["test.happened"]


def test_an_older_cursor_is_a_reset_and_a_younger_one_is_none(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, n=n) for n in range(3)]
    delete(gateway, channel)
    after = log.wait_until_followed()
    log.append(channel, n=3)
    for cursor in cursors:
        assert told(subscribe(channel, cursor=cursor).wait_for(1)[0]) == ("history", [])
    subscriber = subscribe(channel, cursor=after)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [3]
    assert subscriber.events[0].type != "reset"


def test_a_backlog_holds_nothing_of_what_was_deleted(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    for n in range(3):
        log.append(channel, n=n)
    delete(gateway, channel)
    log.append(channel, n=3)
    log.wait_until_followed()
    subscriber = subscribe(f"{channel}.b5")
    subscriber.wait_for(1)
    assert subscriber.numbers() == [3]


def test_several_channels_are_deleted_by_one_entry(
    gateway: Gateway, subscribe: Subscribe, channel: str
) -> None:
    other = channel + ".other"
    subscriber = subscribe([channel, other])
    answer = json.loads(delete(gateway, f"{channel}/{other}").body)
    assert [info["channel"] for info in answer["infos"]] == [channel, other]
    assert told(subscriber.wait_for(1)[0]) == ("deleted", [channel, other])


def test_the_same_deletion_is_done_once(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    event_id = f"delete-{channel.partition(':')[2]}"
    assert delete(gateway, channel, event_id).status == 200
    start = log.now()
    log.append(channel, n=1)
    assert delete(gateway, channel, event_id).status == 200
    subscriber = subscribe(channel, cursor=start)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [1]


def test_the_answer_is_push_streams_and_counts_from_the_start(
    gateway: Gateway, log: LogWriter, channel: str
) -> None:
    log.append(channel)
    assert json.loads(delete(gateway, channel).body) == {
        "channel": channel,
        "published_messages": 0,
        "stored_messages": 0,
        "subscribers": 0,
    }
    answer = gateway.private("POST", f"/pub?id={channel}", "{}")
    assert json.loads(answer.body)["published_messages"] == 1


@pytest.mark.parametrize("target", ["/pub", "/pub?id=", "/pub?id=Thread:1", "/pub?id=thread:1.b2"])
def test_what_is_no_channel_is_not_deleted(gateway: Gateway, log: LogWriter, target: str) -> None:
    before = log.now()
    assert gateway.private("DELETE", target).status == 400
    assert log.now() == before


def test_python_deletes_as_the_gateway_does(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    entry_id = log.log.delete_channel(channel)
    event = subscriber.wait_for(1)[0]
    assert told(event) == ("deleted", [channel])
    assert event.id == f"{log.epoch()}.{entry_id}"


def test_who_polls_is_told_after_the_frames_before_it(
    gateway: Gateway, log: LogWriter, channel: str
) -> None:
    client = PollingClient(gateway, [channel, channel + ".other"], log.wait_until_followed())
    client.send()
    delete(gateway, channel)
    log.append(channel + ".other", n=1)
    log.append(channel, n=2)
    seen: list[object] = []
    answer = client.receive()
    while True:
        if answer.reset:
            seen.append((answer.reset["reason"], answer.reset["channels"]))
        seen += answer.numbers()
        if 2 in seen:
            break
        answer = client.poll()
    assert seen == [("deleted", [channel]), 1, 2]
    client.close()


@pytest.fixture
def second_gateway(
    own_gateway: OwnGateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnGateway]:
    """Another gateway on the log of the first."""
    settings = own_gateway.gateway.settings
    second = Gateway(
        Platform.find(),
        tmp_path_factory.mktemp("second"),
        type(settings)(
            listen=f"127.0.0.1:{free_port()}",
            redis_url=settings.redis_url,
            workers="1",
            engine=settings.engine,
        ),
    )
    second.start()
    try:
        yield OwnGateway(second, own_gateway.redis_server, own_gateway.log)
    finally:
        second.stop()


def test_every_gateway_tells_its_subscribers(
    own_gateway: OwnGateway, second_gateway: OwnGateway
) -> None:
    here = Subscriber(own_gateway.client("thread:1")).connect()
    there = Subscriber(second_gateway.client("thread:1")).connect()
    delete(own_gateway.gateway, "thread:1")
    for subscriber in (here, there):
        assert told(subscriber.wait_for(1)[0]) == ("deleted", ["thread:1"])
        subscriber.client.close()
