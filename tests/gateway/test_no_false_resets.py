"""A reset comes where something behind the cursor is gone, and nowhere else."""

import random
import threading
from collections.abc import Callable

import pytest

from stack.gateway import Gateway
from tests.gateway.conftest import LogWriter
from tests.gateway.crowd import position
from tests.gateway.polling_client import PollingClient

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(120)]

KEPT = 40
SEED = 17


def cut_to(log: LogWriter, channel: str) -> tuple[int, int]:
    """The last frame that was ever cut off a channel's history."""
    info = log.client.xinfo_stream(log.keys.channel(channel))
    return position(f".{info['max-deleted-entry-id'].decode()}")


class Resumer(threading.Thread):
    """Polls from cursors of all kinds, and compares each answer with the log, or a reset with what
    had been cut off the histories by then."""

    def __init__(
        self,
        gateway: Gateway,
        log: LogWriter,
        channels: list[str],
        cursors: Callable[[random.Random], str],
        seed: int,
    ) -> None:
        super().__init__(daemon=True)
        self._gateway, self._log = gateway, log
        self._channels, self._cursors = channels, cursors
        self._random = random.Random(seed)
        self._enough = threading.Event()
        self.resets = self.answers = 0
        self.faults: list[str] = []

    def run(self) -> None:
        """Resumes until `stop`."""
        while not self._enough.is_set():
            wanted = self._random.sample(self._channels, self._random.choice((1, 2)))
            cursor = self._cursors(self._random)
            client = PollingClient(self._gateway, wanted, cursor)
            answer = client.poll()
            client.close()
            cut = max(cut_to(self._log, name) for name in wanted)
            self.answers += 1
            if answer.reset:
                self.resets += 1
                if cut <= position(cursor):
                    self.faults.append(f"{cursor}: a reset, and nothing behind it was ever cut")
            elif not self._is_whole(cursor, wanted, [event.id for event in answer.events]):
                self.faults.append(f"{cursor}: no reset, and not all frames behind it")

    def _is_whole(self, cursor: str, wanted: list[str], ids: list[str]) -> bool:
        """Whether these are the first of the log behind the cursor."""
        epoch, _, entry_id = cursor.partition(".")
        behind = self._log.log.after(entry_id, 1000)
        expected = [f"{epoch}.{e.entry_id}" for e in behind if set(wanted) & set(e.channels)]
        return ids == expected[: len(ids)]

    def stop(self) -> None:
        """Returns when the last answer has been compared."""
        self._enough.set()
        self.join(30)


def test_a_reset_comes_exactly_where_something_is_gone(
    gateway: Gateway, log: LogWriter, channel: str
) -> None:
    channels = [f"{channel}.{n}" for n in range(3)]
    cursors = [log.append(name, history_length=KEPT) for name in channels for _ in range(KEPT * 2)]

    def some_cursor(chosen: random.Random) -> str:
        if chosen.random() < 0.3:
            # The very place up to which a history is cut just now.
            place = cut_to(log, chosen.choice(channels))
            return f"{log.epoch()}.{place[0]}-{place[1]}"
        newest = len(cursors) - 1
        epoch, _, entry_id = cursors[max(0, newest - chosen.randint(0, 5 * KEPT))].partition(".")
        ms, _, seq = entry_id.partition("-")
        # An entry's own, and places between two entries.
        return f"{epoch}.{int(ms) - chosen.choice((0, 0, 0, 1, 5))}-{seq}"

    resumers = [Resumer(gateway, log, channels, some_cursor, SEED + n) for n in range(3)]
    for resumer in resumers:
        resumer.start()
    chosen = random.Random(SEED)
    for _ in range(800):
        cursors.append(log.append(chosen.choice(channels), history_length=KEPT))
    for resumer in resumers:
        resumer.stop()
    assert [fault for resumer in resumers for fault in resumer.faults] == []
    assert all(0 < resumer.resets < resumer.answers for resumer in resumers)


def test_a_channel_at_rest_beside_a_busy_one_is_never_reset(
    gateway: Gateway, log: LogWriter, channel: str
) -> None:
    cursor = log.append(channel, n=1)
    for _ in range(KEPT * 3):
        log.append(channel + ".busy", history_length=KEPT)
    client = PollingClient(gateway, channel, cursor)
    assert client.poll().reset is None
    log.append(channel, n=2)
    client.cursor = cursor
    answer = client.poll()
    assert (answer.reset, answer.numbers()) == (None, [2])
    client.close()


def test_a_reset_says_where_to_go_on(gateway: Gateway, log: LogWriter, channel: str) -> None:
    first = log.append(channel)
    for _ in range(4):
        log.append(channel, history_length=2)
    log.wait_until_followed()
    client = PollingClient(gateway, channel, first)
    answer = client.poll()
    assert answer.reset is not None
    assert position(str(answer.reset["cursor"])) <= position(answer.cursor)
    assert answer.reset["reason"] == "history"
    log.append(channel, n=5)
    assert client.poll().numbers() == [5]
    client.close()
