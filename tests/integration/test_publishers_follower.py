"""One publisher at work on a real Redis, turn by turn, with a real consumer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from formatter.observers import Audience, Observer
from formatter.publishers import Item, Publisher, Webhook, follower
from formatter.publishers import gate as gate_module
from formatter.publishers.follower import REFUSALS_IN_A_ROW, Follower
from pushgate import (
    Event,
    Keys,
    Lease,
    LeaseLost,
    Leases,
    RedisLog,
    publish_straight,
    read_ledger,
)
from pushgate.log import LOG_LENGTH
from pushgate.positions import Positions, TurnMoved, lease_name
from pushgate.publisher_control import PublisherControl, PublisherState
from tests.consumer import Answer, Consumer, Received

SECRET = {"SECRET": "whsec_" + "A" * 43 + "="}
DEADLINE_SECONDS = 90


class Feed:
    """A log, a consumer, and a publisher between them that turns when it is told to."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self.client = client
        self.keys = keys
        self.consumer = Consumer()
        self.leases = Leases(client, keys)
        self.positions = Positions(client, keys)
        self.control = PublisherControl(client, keys)
        self.observers: list[Observer] = []
        self.owners = 0

    def webhook(self, **options: Any) -> Webhook:
        """A webhook of all threads to the consumer."""
        settings = {"secret_variable": "SECRET", "channels": ["thread:*"]}
        made = Webhook("hook", self.consumer.url, **{**settings, **options})
        made.configure(SECRET)
        return made

    def lease(self) -> Lease:
        """The lease of the publisher, whoever held it before."""
        self.client.delete(self.keys.lease(lease_name("hook")))
        self.owners += 1
        lease = self.leases.acquire(lease_name("hook"), f"process-{self.owners}", 600)
        assert lease is not None
        return lease

    def follower(self, publisher: Publisher | None = None, **options: Any) -> Follower:
        """A follower that has begun: what is published from now on is for it."""
        made = Follower(
            publisher or self.webhook(**options),
            self.lease(),
            self.positions,
            Audience(self.observers),
        )
        made.lease_until = time.monotonic() + 600
        made.turn()
        return made

    def publish(self, *numbers: int, threads: int = 1, kind: str = "comment.created") -> None:
        """Appends a frame for each number to the log."""
        for number in numbers:
            event = Event(kind, (f"thread:{number % threads}",), {"number": number})
            publish_straight(self.client, self.keys, event)

    def state(self) -> PublisherState:
        """The publisher as an operator sees it; its books balance at every moment."""
        (state,) = self.control.states()
        assert state.balances, state
        return state

    def turn_until(self, follower: Follower, condition: Callable[[], object]) -> None:
        """Has the follower turn until the condition holds."""
        give_up_at = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < give_up_at, (self.state(), self.consumer.received[-3:])
            follower.turn()

    def turn_until_done(self, follower: Follower) -> None:
        """Has the follower turn until everything in the log is booked."""
        self.turn_until(follower, lambda: self.state().behind == 0)


@pytest.fixture
def feed(redis_client: redis.Redis, keys: Keys) -> Iterator[Feed]:
    feed = Feed(redis_client, keys)
    yield feed
    feed.consumer.close()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "FIRST_BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(gate_module, "LONGEST_BACKOFF_SECONDS", 0.02)
    monkeypatch.setattr(follower, "WAIT_SECONDS", 0.01)


def refusing(*numbers: int, status: int = 422) -> Callable[[Received], Answer]:
    """Answers so to what holds one of the numbers."""

    def answer(request: Received) -> Answer:
        found = {item["data"].get("number") for item in request.items}
        return Answer(status if found & set(numbers) else 204)

    return answer


def test_everything_is_sent_in_order_and_booked(feed: Feed) -> None:
    follower = feed.follower()
    feed.publish(*range(40), threads=4)
    feed.turn_until_done(follower)
    by_thread = {f"thread:{k}": list(range(k, 40, 4)) for k in range(4)}
    assert feed.consumer.first_numbers_by_channel() == by_thread
    assert sorted(feed.consumer.numbers()) == list(range(40)), "each once"
    state = feed.state()
    assert (state.seen, state.sent, state.lag_seconds, state.error) == (40, 40, 0.0, "")
    assert str(RedisLog(feed.client, feed.keys).cursor()) == str(state.cursor)


def test_a_new_publisher_begins_at_the_end_of_the_log_and_says_so(feed: Feed) -> None:
    feed.publish(1, 2)
    follower = feed.follower()
    feed.publish(3)
    feed.turn_until_done(follower)
    assert feed.consumer.numbers() == [3]
    assert feed.consumer.resets == [{"reason": "new", "missed": 0}]
    follower = feed.follower()
    feed.publish(4)
    feed.turn_until_done(follower)
    assert len(feed.consumer.resets) == 1, "it is new once"


def test_what_is_not_wanted_is_skipped_and_booked(feed: Feed) -> None:
    follower = feed.follower(types=["comment."])
    feed.publish(1, kind="comment.created")
    feed.publish(2, kind="vote.cast")
    publish_straight(feed.client, feed.keys, Event("comment.created", ("user:1",), {"number": 3}))
    feed.turn_until_done(follower)
    assert feed.consumer.numbers() == [1]
    assert (feed.state().sent, feed.state().skipped) == (1, 2)


def test_an_item_that_is_refused_goes_to_the_dead_letters_alone(feed: Feed) -> None:
    feed.consumer.answer = refusing(2)
    follower = feed.follower()
    feed.publish(1, 2, 3)
    feed.turn_until_done(follower)
    (letter,) = feed.control.dead_letters("hook")
    assert letter.reason == "422 Unprocessable Entity"
    assert b'"number":2' in letter.frame
    assert (letter.channels, letter.attempts) == (("thread:0",), 1)
    state = feed.state()
    assert (state.sent, state.dead, state.failed) == (2, 1, 1)
    assert feed.consumer.numbers() == [1, 2, 3]


def test_in_a_firehose_one_bad_item_costs_itself_alone(feed: Feed) -> None:
    feed.consumer.answer = refusing(7)
    follower = feed.follower(batch=100)
    feed.publish(*range(20), threads=3)
    feed.turn_until_done(follower)
    assert [b'"number":7}' in letter.frame for letter in feed.control.dead_letters("hook")] == [
        True
    ]
    taken = [n for n in feed.consumer.first_numbers_by_channel()["thread:1"] if n != 7]
    assert taken == [n for n in range(1, 20, 3) if n != 7]
    assert (feed.state().sent, feed.state().dead) == (19, 1)


def test_a_consumer_that_refuses_everything_gets_no_more_until_it_takes_something(
    feed: Feed,
) -> None:
    feed.consumer.answer = lambda r: Answer(204 if r.items[0]["type"] == "reset" else 422)
    follower = feed.follower(concurrency=1)
    feed.publish(*range(30))
    feed.turn_until(follower, lambda: feed.state().failed >= REFUSALS_IN_A_ROW + 5)
    state = feed.state()
    assert state.dead == REFUSALS_IN_A_ROW
    assert state.error == "422 Unprocessable Entity"
    feed.consumer.answer = lambda _: Answer()
    feed.turn_until_done(follower)
    state = feed.state()
    assert (state.sent, state.dead, state.error) == (20, 10, "")


@pytest.mark.parametrize("batch", [1, 10])
def test_an_outage_loses_nothing_and_keeps_the_order(feed: Feed, batch: int) -> None:
    feed.consumer.answer = lambda _: Answer(503)
    follower = feed.follower(batch=batch)
    feed.publish(*range(30), threads=3)
    feed.turn_until(follower, lambda: feed.state().failed > 10)
    assert feed.state().error == "503 Service Unavailable"
    before = len(feed.consumer.received)
    feed.consumer.answer = lambda _: Answer()
    feed.turn_until_done(follower)
    del feed.consumer.received[:before]
    by_thread = {f"thread:{k}": list(range(k, 30, 3)) for k in range(3)}
    assert feed.consumer.first_numbers_by_channel() == by_thread
    state = feed.state()
    assert (state.sent, state.dead) == (30, 0)


def test_one_channels_trouble_holds_up_no_other_and_ends(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.consumer.answer = refusing(0, status=500)
    follower = feed.follower(give_up_seconds=0.3)
    feed.publish(*range(12), threads=3)
    feed.turn_until_done(follower)
    numbers = feed.consumer.first_numbers_by_channel()
    assert numbers["thread:0"] == [0, 3, 6, 9]
    (letter,) = feed.control.dead_letters("hook")
    assert letter.reason == "500 Internal Server Error"
    assert letter.attempts > 1
    assert (feed.state().sent, feed.state().dead) == (11, 1)
    attempts = [n for n in feed.consumer.numbers() if n == 0]
    assert letter.attempts == len(attempts)


def test_while_nothing_gets_through_nothing_is_given_up_before_days_have_passed(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower_ = feed.follower(give_up_seconds=0)
    feed.turn_until(follower_, lambda: feed.consumer.resets)
    feed.consumer.answer = lambda _: Answer(500)
    feed.publish(1)
    feed.turn_until(follower_, lambda: feed.state().failed > 5)
    assert feed.state().dead == 0
    monkeypatch.setattr(follower, "HOLD_SECONDS", 0.0)
    feed.turn_until_done(follower_)
    assert feed.state().dead == 1


def test_a_consumer_that_is_gone_stops_the_publisher_until_it_is_resumed(feed: Feed) -> None:
    follower = feed.follower()
    feed.turn_until(follower, lambda: feed.consumer.resets)
    feed.consumer.answer = lambda _: Answer(410)
    feed.publish(1, 2)
    feed.turn_until(follower, lambda: feed.state().stopped)
    assert feed.state().stopped == "410 Gone"
    received = len(feed.consumer.received)
    feed.consumer.answer = lambda _: Answer()
    feed.publish(3)
    for _ in range(3):
        follower.turn()
    follower = feed.follower()
    follower.turn()
    assert len(feed.consumer.received) == received, "another process respects it, too"
    assert feed.state().behind == 3
    feed.control.resume("hook")
    feed.turn_until_done(follower)
    assert feed.consumer.numbers()[-3:] == [1, 2, 3]
    assert (feed.state().sent, feed.state().dead) == (3, 0)


def test_an_operator_stops_and_resumes_a_publisher(feed: Feed) -> None:
    follower = feed.follower()
    feed.turn_until(follower, lambda: feed.state().resets == 1)
    feed.control.stop("hook", "the consumer moves house")
    feed.publish(1)
    for _ in range(3):
        follower.turn()
    assert feed.consumer.numbers() == []
    feed.control.resume("hook")
    feed.turn_until_done(follower)
    assert feed.consumer.numbers() == [1]


def test_a_stop_holds_back_what_was_read_already(feed: Feed) -> None:
    follower = feed.follower()
    feed.turn_until(follower, lambda: feed.state().resets == 1)
    feed.consumer.answer = lambda _: Answer(503)
    feed.publish(*range(5), threads=5)
    feed.turn_until(follower, lambda: feed.state().failed > 3)
    feed.control.stop("hook", "the consumer moves house")
    feed.consumer.answer = lambda _: Answer()
    for _ in range(10):
        follower.turn()
    assert feed.state().sent == 0
    feed.control.resume("hook")
    feed.turn_until_done(follower)
    assert feed.state().sent == 5


def test_dead_letters_are_sent_again_or_discarded(feed: Feed) -> None:
    feed.consumer.answer = refusing(1, 2, 3)
    follower = feed.follower()
    feed.publish(0, 1, 2, 3)
    feed.turn_until_done(follower)
    letters = feed.control.dead_letters("hook")
    assert [
        b'"number":%d' % n in letter.frame for n, letter in zip((3, 2, 1), letters, strict=True)
    ]
    first_id = next(item["id"] for item in feed.consumer.items if item["data"]["number"] == 3)
    feed.consumer.answer = refusing(2)
    ids = [letter.entry_id for letter in letters]
    assert feed.control.retry_dead_letters("hook", [*ids[:2], "1-1"]) == 2
    assert (feed.state().dead, feed.state().again) == (1, 2)
    feed.turn_until(follower, lambda: feed.state().again == 0)
    assert feed.consumer.items[-2]["id"] == first_id, "under the id of the first time"
    assert (feed.state().sent, feed.state().dead) == (2, 2)
    assert feed.client.xlen(feed.keys.again("hook")) == 0
    left = [letter.entry_id for letter in feed.control.dead_letters("hook")]
    assert feed.control.discard_dead_letters("hook", left) == 2
    assert feed.control.dead_letters("hook") == []
    assert feed.state().dead == 2, "the books keep them"


def test_a_publisher_whose_code_fails_is_tried_again_and_gives_up_the_item(feed: Feed) -> None:
    class Broken(Publisher):
        """Sends nothing but even numbers."""

        sent: list[int] = []

        def send(self, items: Any) -> None:
            """See the class."""
            item: Item = items[0]
            number = int(item.data.rpartition(b":")[2].rstrip(b"}")) if not item.is_reset else 0
            if number % 2:
                raise ValueError("odd")
            self.sent.append(number)

    follower = feed.follower(Broken("hook", channels=["*"], give_up_seconds=0))
    feed.publish(1, 2, 3, 4, threads=4)
    feed.turn_until_done(follower)
    assert sorted(Broken.sent)[-2:] == [2, 4]
    reasons = {letter.reason for letter in feed.control.dead_letters("hook")}
    assert reasons == {"ValueError: odd"}
    assert (feed.state().dead, feed.state().failed >= 2) == (2, True)


def test_what_was_not_booked_is_sent_again_by_the_next_holder_and_nothing_else(feed: Feed) -> None:
    follower = feed.follower()
    feed.publish(1, 2)
    feed.turn_until_done(follower)
    feed.publish(3, 4)
    follower._read()
    follower._send()
    feed.turn_until(feed.follower(), lambda: feed.state().behind == 0)
    assert sorted(feed.consumer.numbers()) in ([1, 2, 3, 4], [1, 2, 3, 3, 4])
    with pytest.raises(LeaseLost):
        feed.turn_until(follower, lambda: False)
    assert feed.state().sent == 4, "a zombie books nothing"
    with pytest.raises(LeaseLost):
        feed.positions.begin(follower.lease, "hook")
    assert read_ledger(feed.client, feed.keys).refused == 2, "each is counted"


def test_nothing_is_sent_once_the_lease_may_have_run_out(feed: Feed) -> None:
    follower = feed.follower()
    feed.turn_until_done(follower)
    feed.turn_until(follower, lambda: feed.state().resets == 1)
    follower.lease_until = time.monotonic() - 0.001
    feed.publish(1)
    for _ in range(3):
        follower.turn()
    assert feed.consumer.numbers() == []


def test_a_turn_that_got_no_answer_is_booked_once(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = feed.follower()
    feed.turn_until(follower, lambda: feed.state().resets == 1)
    advance = feed.positions.advance

    def without_answer(*arguments: Any) -> bool:
        advance(*arguments)
        raise redis.TimeoutError("no answer")

    monkeypatch.setattr(feed.positions, "advance", without_answer)
    feed.publish(1, 2, 3)
    for _ in range(3):
        with pytest.raises(redis.TimeoutError):
            feed.turn_until(follower, lambda: False)
    monkeypatch.undo()
    feed.turn_until_done(follower)
    assert (feed.state().seen, feed.state().sent) == (3, 3)


def test_books_that_were_set_back_end_the_follower(feed: Feed) -> None:
    follower = feed.follower()
    feed.turn_until(follower, lambda: feed.state().resets == 1)
    feed.publish(1)
    feed.turn_until_done(follower)
    feed.client.hincrby(feed.keys.publisher("hook"), "turn", -1)
    feed.publish(2)
    with pytest.raises(TurnMoved):
        feed.turn_until(follower, lambda: False)
    feed.turn_until_done(feed.follower())
    assert feed.consumer.first_numbers_by_channel() == {"thread:0": [1, 2]}


def test_a_log_that_was_cut_behind_a_publisher_is_counted_and_told(feed: Feed) -> None:
    follower = feed.follower(batch=1000)
    feed.turn_until(follower, lambda: feed.state().resets == 1)
    feed.publish(1)
    feed.turn_until_done(follower)
    appended = LOG_LENGTH + 2_000
    frame = b'event: comment.created\ndata: {"number":0}\n\n'
    for _ in range(appended // 1_000):
        with feed.client.pipeline(transaction=False) as together:
            for _ in range(1_000):
                fields: Any = {"channels": "user:1", "frame": frame}
                together.xadd(feed.keys.log, fields, maxlen=LOG_LENGTH, approximate=True)
            together.execute()
    feed.publish(2)
    kept = feed.client.xlen(feed.keys.log)
    follower = feed.follower(batch=1000)
    feed.turn_until_done(follower)
    missed = appended + 1 - kept
    assert missed >= 1_000
    assert feed.consumer.resets[1:] == [{"reason": "history", "missed": missed}]
    assert feed.consumer.numbers() == [1, 2]
    state = feed.state()
    assert (state.missed, state.sent, state.skipped) == (missed, 2, kept - 1)


def test_another_epoch_is_told_and_what_is_there_is_sent(feed: Feed) -> None:
    follower = feed.follower()
    feed.publish(1)
    feed.turn_until_done(follower)
    log = RedisLog(feed.client, feed.keys)
    feed.publish(2)
    cursor = log.begin_epoch(log.cursor().epoch)
    feed.publish(3)
    feed.turn_until(follower, lambda: feed.state().behind == 0)
    assert feed.consumer.numbers() == [1, 2, 3]
    assert feed.consumer.resets[1:] == [{"reason": "epoch", "missed": None}]
    assert feed.state().cursor.epoch == cursor.epoch
    assert feed.state().seen == 3


def test_observers_are_told_and_what_they_raise_ends_nothing(feed: Feed) -> None:
    class Noting(Observer):
        """Notes what it is told, and fails at each."""

        def __init__(self) -> None:
            self.told: list[tuple[Any, ...]] = []

        def sent(self, publisher: str, items: int, seconds: float) -> None:
            """See the class."""
            self.told.append(("sent", publisher, items))
            raise RuntimeError("a broken observer")

        def failed(self, publisher: str, error: Exception) -> None:
            """See the class."""
            self.told.append(("failed", publisher, str(error)))

        def dead(self, publisher: str, items: int) -> None:
            """See the class."""
            self.told.append(("dead", publisher, items))

        def lag(self, publisher: str, seconds: float) -> None:
            """See the class."""
            if seconds:
                self.told.append(("lag", publisher))

    observer = Noting()
    feed.observers.append(observer)
    feed.consumer.answer = refusing(2)
    follower = feed.follower()
    feed.publish(1, 2)
    feed.turn_until_done(follower)
    assert observer.told.count(("sent", "hook", 1)) == 2, "the news of the beginning, and an item"
    assert ("failed", "hook", "422 Unprocessable Entity") in observer.told
    assert ("dead", "hook", 1) in observer.told
    assert ("lag", "hook") in observer.told


def test_a_publisher_that_is_no_longer_configured_is_forgotten(feed: Feed) -> None:
    follower = feed.follower()
    feed.turn_until(follower, lambda: feed.state().resets == 1)
    feed.control.forget("hook")
    assert feed.control.states() == []
    assert feed.client.exists(feed.keys.publisher("hook")) == 0
