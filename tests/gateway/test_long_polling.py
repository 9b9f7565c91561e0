"""A client without EventSource polls in JSON: the same frames, the same cursor, each once."""

import http.client
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from stack.gateway import Gateway
from stack.platform import Platform
from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, ORIGIN, LogWriter, OwnGateway, Subscriber, ask
from tests.gateway.crowd import Crowd
from tests.gateway.polling_client import PollingClient

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

Polls = Callable[..., PollingClient]


@pytest.fixture
def polls(gateway: Gateway) -> Iterator[Polls]:
    """Makes clients of the shared gateway: `polls(channels, cursor="", accept=...)`."""
    made: list[PollingClient] = []

    def make(channels: str | Sequence[str], cursor: str = "", **more: str) -> PollingClient:
        made.append(PollingClient(gateway, channels, cursor, **more))
        return made[-1]

    yield make
    for client in made:
        client.close()


def test_what_came_after_the_cursor_is_answered_at_once(
    polls: Polls, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, n=n) for n in range(5)]
    answer = polls(channel, cursors[1]).poll()
    assert [(e.id, e.type) for e in answer.events] == [(c, "test.happened") for c in cursors[2:]]
    assert answer.numbers() == [2, 3, 4]
    assert answer.reset is None


def test_a_poll_waits_for_the_next_frame(polls: Polls, log: LogWriter, channel: str) -> None:
    client = polls(channel, log.wait_until_followed())
    client.send()
    cursor = log.append(channel, n=1)
    answer = client.receive()
    assert (answer.numbers(), answer.cursor) == ([1], cursor)


def test_without_a_cursor_a_poll_begins_now(polls: Polls, log: LogWriter, channel: str) -> None:
    log.append(channel, n=0)
    now = log.wait_until_followed()
    client = polls(channel)
    answer = client.poll()
    assert (answer.numbers(), answer.cursor) == ([], now)
    log.append(channel, n=1)
    assert client.poll().numbers() == [1]


def test_a_backlog_comes_with_the_first_poll_alone(
    polls: Polls, log: LogWriter, channel: str
) -> None:
    for n in range(5):
        log.append(channel, n=n)
    now = log.wait_until_followed()
    client = polls(f"{channel}.b2")
    answer = client.poll()
    assert (answer.numbers(), answer.cursor) == ([3, 4], now)
    log.append(channel, n=5)
    assert client.poll().numbers() == [5]


def test_nothing_new_is_an_empty_list_and_a_cursor_that_moves_on(
    polls: Polls, log: LogWriter, channel: str
) -> None:
    client = polls(channel, log.append(channel, n=0))
    log.append(channel + ".other")
    now = log.wait_until_followed()
    answer = client.poll()
    assert (answer.status, answer.events, answer.reset, answer.cursor) == (200, [], None, now)


def test_the_cursor_may_come_in_the_query(gateway: Gateway, log: LogWriter, channel: str) -> None:
    cursors = [log.append(channel, n=n) for n in range(3)]
    target = f"/sub/{channel}?last_event_id={cursors[0]}"
    body = json.loads(ask(gateway, "GET", target, {"Accept": "application/json"}).body)
    assert [frame["id"] for frame in body["frames"]] == cursors[1:]


def test_polls_share_a_connection_and_are_never_kept(
    polls: Polls, log: LogWriter, channel: str
) -> None:
    client = polls(channel, log.now())
    for n in range(5):
        log.append(channel, n=n)
        answer = client.poll()
        assert answer.numbers() == [n]
    assert client.connects == 1
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["vary"] == "Accept, Origin"
    assert answer.headers["content-type"] == "application/json"


def test_a_stream_ends_its_connection(gateway: Gateway, channel: str) -> None:
    """One that does not would leave an EventSource waiting for more."""
    client = PollingClient(gateway, channel, accept="text/event-stream")
    client.send()
    response = client._connection.getresponse()
    assert response.getheader("Connection") == "close"
    client.close()


def test_a_malformed_cursor_is_a_reset_and_polling_goes_on(
    polls: Polls, log: LogWriter, channel: str
) -> None:
    log.append(channel, n=0)
    now = log.wait_until_followed()
    client = polls(channel, "nonsense")
    answer = client.poll()
    assert (answer.reset, answer.events) == ({"reason": "cursor", "cursor": now}, [])
    log.append(channel, n=1)
    assert client.poll().numbers() == [1]


def test_a_history_that_does_not_reach_back_is_a_reset(
    polls: Polls, log: LogWriter, channel: str
) -> None:
    first = log.append(channel)
    for _ in range(5):
        log.append(channel, history_length=2)
    log.wait_until_followed()
    answer = polls(channel, first).poll()
    assert answer.reset is not None
    assert answer.reset["reason"] == "history"


@pytest.mark.parametrize(
    ("accept", "polls_json"),
    [
        ("application/json", True),
        ("APPLICATION/JSON;charset=utf-8", True),
        ("application/json, text/plain, */*", True),
        ("text/event-stream;q=0.5, application/json", True),
        ("application/json;q=0.4, text/event-stream;q=0.5", False),
        ("application/json, text/event-stream", False),
        ("application/json;q=0", False),
        ("text/event-stream", False),
        ("*/*", False),
        ("application/*", False),
        ("text/html", False),
        ("", False),
        (",;q=,/;=", False),
    ],
)
def test_who_names_json_and_nothing_better_polls(
    gateway: Gateway, channel: str, accept: str, polls_json: bool
) -> None:
    client = PollingClient(gateway, channel, "nonsense", accept)
    client.send()
    content_type = client._connection.getresponse().getheader("Content-Type")
    client.close()
    expected = "application/json" if polls_json else "text/event-stream; charset=utf-8"
    assert content_type == expected


def test_a_page_of_the_site_may_poll(gateway: Gateway, channel: str) -> None:
    wanted = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "last-event-id",
        "Accept": "application/json",
    }
    answer = ask(gateway, "OPTIONS", f"/sub/{channel}", wanted)
    assert answer.status == 204
    assert "Last-Event-ID" in answer.headers["access-control-allow-headers"]
    answer = ask(
        gateway, "GET", f"/sub/{channel}", {"Origin": ORIGIN, "Accept": "application/json"}
    )
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-expose-headers"] == "Retry-After"


def test_the_doors_hold_for_polls(polls: Polls) -> None:
    assert polls("secret:1").poll().status == 403
    assert polls("Thread:1").poll().status == 400


def test_a_poll_that_cannot_be_answered_is_a_503_with_a_time(own_gateway: OwnGateway) -> None:
    log = own_gateway.log
    old = log.append("thread:1")
    log.append("thread:1")
    log.wait_until_followed()
    own_gateway.redis_server.kill()
    client = PollingClient(own_gateway.gateway, "thread:1", old)
    answer = client.poll()
    assert answer.status == 503
    assert 5 <= int(answer.headers["retry-after"]) <= 15
    # Who is up to date needs no Redis to wait.
    client.cursor = log_end = f"{old.partition('.')[0]}.{client_end(own_gateway)}"
    assert (client.poll().status, client.cursor) == (200, log_end)
    own_gateway.redis_server.start()
    client.close()


def client_end(own: OwnGateway) -> str:
    """The entry up to which a gateway without Redis has handed over."""
    client = PollingClient(own.gateway, "thread:1")
    try:
        return client.poll().cursor.partition(".")[2]
    finally:
        client.close()


def test_a_lost_end_of_the_log_wakes_who_waits(own_gateway: OwnGateway) -> None:
    log = own_gateway.log
    # A position that the gateway itself has been at; of any other it need not know what became.
    watching = Subscriber(own_gateway.client("thread:1")).connect()
    client = PollingClient(own_gateway.gateway, "thread:1", log.append("thread:1", n=0))
    watching.wait_for(1)
    watching.client.close()
    log.client.delete(log.keys.log, log.keys.channel("thread:1"))
    log.client.xadd(log.keys.log, {"channels": "thread:9", "frame": "x"}, id="5-1")
    resets: list[object] = []

    def is_told() -> bool:
        answer = client.poll()
        resets.append(answer.reset and answer.reset["reason"])
        return bool(answer.reset)

    wait_until(is_told, DEADLINE_SECONDS, "the poll is told of the epoch")
    assert resets[-1] == "epoch"
    log.append("thread:1", n=1)
    assert client.poll().numbers() == [1]
    client.close()


def test_who_polls_gets_each_frame_once_while_frames_flow_as_fast_as_they_can(
    own_gateway: OwnGateway,
) -> None:
    crowd = Crowd(own_gateway, 71, size=4, pollers=12)
    crowd.start()
    crowd.wait_for_frames(2500)
    crowd.finish()


def test_many_who_wait_ask_redis_nothing(own_gateway: OwnGateway) -> None:
    log = own_gateway.log
    log.append("thread:1")
    cursor = log.wait_until_followed()
    clients = [PollingClient(own_gateway.gateway, f"thread:{n}", cursor) for n in range(50)]

    def transactions() -> int:
        stats = log.client.info("commandstats")
        return int(stats.get("cmdstat_exec", {"calls": 0})["calls"])

    before = transactions()
    for client in clients:
        client.send()
    for client in clients:
        assert client.receive().events == []
    for client in clients:
        client.send()
    for client in clients:
        assert client.receive().cursor == cursor
    assert transactions() == before
    for client in clients:
        client.close()


@pytest.fixture
def patient(own_gateway: OwnGateway) -> Iterator[OwnGateway]:
    """A gateway on which a poll waits for longer than any of these tests."""
    own_gateway.gateway.stop()
    settings = own_gateway.gateway.settings
    more = {**settings.more, "PUSHGATE_POLL_SECONDS": "600"}
    own_gateway.gateway = Gateway(
        Platform.find(), own_gateway.gateway.directory, replace(settings, more=more)
    )
    own_gateway.gateway.start()
    yield own_gateway
    own_gateway.gateway.stop()


def waiting_polls(own: OwnGateway, count: int) -> list[PollingClient]:
    """Polls that have been sent and wait."""
    cursor = own.log.append("thread:1")
    own.log.wait_until_followed()
    clients = [PollingClient(own.gateway, f"thread:{n + 2}", cursor) for n in range(count)]
    for client in clients:
        client.send()
    wait_until(lambda: connections_of(own.gateway) == count, DEADLINE_SECONDS, "all are connected")
    return clients


def connections_of(gateway: Gateway) -> int:
    """How many connections to the public listener the gateway has not let go of."""
    port = int(gateway.settings.listen.rpartition(":")[2])
    rows = (line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:])
    established, left_by_the_client = "01", "08"
    held = (established, left_by_the_client)
    return sum(row[1].endswith(f":{port:04X}") and row[3] in held for row in rows)


def test_a_reload_answers_who_waits(patient: OwnGateway) -> None:
    clients = waiting_polls(patient, 8)
    os.kill(patient.gateway.pid, signal.SIGHUP)
    for client in clients:
        before = client.cursor
        answer = client.receive()
        assert (answer.status, answer.events, answer.cursor) == (200, [], before)
    for client, n in zip(clients, range(8), strict=True):
        patient.log.append(f"thread:{n + 2}", n=n)
        numbers: list[int] = []
        while not numbers:
            # An old worker may yet answer once more, or end with the connection just accepted.
            with suppress(OSError, http.client.HTTPException):
                numbers = client.poll().numbers()
        assert numbers == [n]
        client.close()


def test_who_goes_away_while_it_waits_is_not_waited_for(patient: OwnGateway) -> None:
    clients = waiting_polls(patient, 20)
    for client in clients:
        client.close()
    wait_until(
        lambda: connections_of(patient.gateway) == 0, DEADLINE_SECONDS, "the gateway lets go too"
    )


def test_polls_sent_before_the_answer_are_answered_in_turn(patient: OwnGateway) -> None:
    """HTTP pipelining: what lies behind is not taken for the client's end."""
    cursor = patient.log.append("thread:1", n=1)
    last = patient.log.append("thread:1", n=2)
    patient.log.wait_until_followed()
    host, _, port = patient.gateway.settings.listen.rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as connection:
        for asked in (last, cursor):
            connection.sendall(
                f"GET /sub/thread:1?last_event_id={asked} HTTP/1.1\r\nHost: gateway\r\n"
                "Accept: application/json\r\n\r\n".encode()
            )
        newest = patient.log.append("thread:1", n=3)
        received = b""
        while received.count(b'"reset"') < 2:
            received += connection.recv(65536)
    bodies = [json.loads(line) for line in received.split(b"\n") if line.startswith(b"{")]
    assert [[frame["id"] for frame in body["frames"]] for body in bodies] == [
        [newest],
        [last, newest],
    ]
