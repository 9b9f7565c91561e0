"""Who takes less than it is sent is cut, sees nothing but its own, and resumes; others suffer
nothing."""

import json
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from loadtest.eventsource import ReceivedEvent
from tests.gateway.conftest import DEADLINE_SECONDS, OwnGateway, Subscriber

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

FRAME_BYTES = 40_000


class Pushing(threading.Thread):
    """Big frames on two channels in turn, each filled with its channel's own letter."""

    def __init__(self, own: OwnGateway) -> None:
        super().__init__(daemon=True)
        self._log = own.log
        self._enough = threading.Event()
        self.cursors: dict[str, list[str]] = {"a": [], "b": []}

    def run(self) -> None:
        """Publishes until `stop`."""
        while not self._enough.wait(0.02):
            for letter, cursors in self.cursors.items():
                cursors.append(self._log.append(f"thread:{letter}", text=letter * FRAME_BYTES))

    def stop(self) -> None:
        """Publishes no more."""
        self._enough.set()
        self.join()


def subscribers_of(own: OwnGateway, channel: str) -> int:
    answer = own.gateway.private("GET", f"/channels-stats?id={channel}")
    return int(json.loads(answer.body)["subscribers"]) if answer.status == 200 else 0


def resident_bytes(pid: int) -> int:
    """What the process holds alone; frames lie in memory that all workers share."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    return (int(pages[1]) - int(pages[2])) * 4096


def is_whole(event: ReceivedEvent, letter: str) -> bool:
    return event.type == "reset" or json.loads(event.data)["text"] == letter * FRAME_BYTES


def read_until(subscriber: Subscriber, cursor: str) -> None:
    """Reads, and comes back as often as it must, until the frame at `cursor` has come."""
    while not subscriber.events or subscriber.events[-1].id != cursor:
        if not subscriber.client.connected:
            subscriber.connect()
            continue
        with suppress(ConnectionError):
            subscriber.events += subscriber.client.read(DEADLINE_SECONDS)


def test_who_stops_reading_is_cut_sees_only_its_own_and_resumes(own_gateway: OwnGateway) -> None:
    start = own_gateway.log.now()
    stalled = [Subscriber(own_gateway.client("thread:a", start)).connect() for _ in range(4)]
    other = Subscriber(own_gateway.client("thread:b", start)).connect()
    before = [resident_bytes(pid) for pid in own_gateway.gateway.worker_pids]
    pushing = Pushing(own_gateway)
    pushing.start()
    until = time.monotonic() + DEADLINE_SECONDS
    while subscribers_of(own_gateway, "thread:a") > 0:
        assert time.monotonic() < until, "those that do not read are not cut"
        other.wait_for(len(other.events) + 1)
    pushing.stop()
    after = [resident_bytes(pid) for pid in own_gateway.gateway.worker_pids]
    read_until(other, pushing.cursors["b"][-1])
    assert [event.id for event in other.events] == pushing.cursors["b"]
    for subscriber in stalled:
        read_until(subscriber, pushing.cursors["a"][-1])
        assert [event.id for event in subscriber.events] == pushing.cursors["a"]
        assert all(is_whole(event, "a") for event in subscriber.events)
        subscriber.client.close()
    assert max(after) - min(before) < 50e6, f"{before} bytes have become {after}"
