"""The books against what lies in the queue and the log: they balance whatever happens, on servers
and in memory, and they notice what is stolen or doubled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from pushgate import Event, Finished, Frame, Keys, Lease, MarkMoved, Outcome, redis_job_queue
from pushgate.accounts import accounts_of
from pushgate.books import Books
from pushgate.control import Control
from pushgate.frames import frame_of, tombstone_of
from pushgate.job_queue import FROM_THE_START, ForwardedRow, Job, partition_of
from pushgate.leases import RELAY
from pushgate.memory import MemoryJobQueue
from pushgate.positions import Advance, DeadItem, Positions, lease_name
from pushgate.publisher_control import PublisherControl
from tests.queue.conftest import PARTITIONS, QueueUnderTest

LONG_SECONDS = 600


def comment(number: int) -> Event:
    return Event("comment.created", ("thread:1",), {"id": number})


def row(number: int) -> ForwardedRow:
    event = comment(number)
    return str(number), event.key, event.to_json()


def claimed(under_test: QueueUnderTest) -> tuple[Lease, list[Job]]:
    """All jobs, in the hands of a worker."""
    name = str(partition_of(comment(0).key, PARTITIONS))
    lease = under_test.queue.leases.acquire(name, "worker", LONG_SECONDS)
    assert lease is not None
    return lease, under_test.queue.claim(lease, FROM_THE_START, 100)


def relay_of(under_test: QueueUnderTest) -> Lease:
    lease = under_test.queue.leases.acquire(RELAY, "relay", LONG_SECONDS)
    assert lease is not None
    return lease


def complaints(books: Books) -> list[str]:
    return [account.complaint for account in accounts_of(books) if account.complaint]


def client_of(under_test: QueueUnderTest) -> Any:
    assert under_test.client is not None
    return under_test.client


def keys_of(under_test: QueueUnderTest) -> Keys:
    assert under_test.keys is not None
    return under_test.keys


def live(under_test: QueueUnderTest) -> Lease:
    """One event to each of its ends; two stay. Returns the lease of who works them."""
    queue = under_test.queue
    queue.forward(relay_of(under_test), "outbox", "", [row(n) for n in range(1, 5)])
    for number in range(5, 7):
        queue.put(comment(number))
    lease, jobs = claimed(under_test)
    frame = frame_of(jobs[0].event())
    queue.finish(lease, [Finished(jobs[0].entry_id, (frame, frame))])
    queue.finish(lease, [Finished(jobs[1].entry_id, (), Outcome.SUPPRESSED)])
    queue.finish(lease, [Finished(jobs[2].entry_id, (), Outcome.EXPIRED)])
    event = jobs[3].event()
    queue.bury(lease, jobs[3].entry_id, "it is given up", [tombstone_of(event)])
    under_test.log.delete_channel("thread:1")
    return lease


def test_books_of_nothing_balance(under_test: QueueUnderTest) -> None:
    assert complaints(under_test.books()) == []
    under_test.log.cursor()
    assert complaints(under_test.books()) == [], "a log that was begun was given nothing"


def test_the_books_say_what_became_of_each_event(under_test: QueueUnderTest) -> None:
    live(under_test)
    books = under_test.books()
    assert complaints(books) == []
    ledger = books.ledger
    assert (ledger.relayed, ledger.put, ledger.accepted) == (4, 2, 6)
    assert (ledger.published, ledger.suppressed, ledger.expired, ledger.dead) == (1, 1, 1, 1)
    assert (ledger.queued, sum(count or 0 for count in books.jobs)) == (2, 2)
    assert (ledger.frames, ledger.deletions) == (3, 1)
    assert books.log is not None
    assert books.log.added == 4
    assert books.sources["outbox"].relayed == 4
    assert books.sources["outbox"].mark == "4"


def test_rows_that_redis_lost_and_the_outbox_purged_are_gone(under_test: QueueUnderTest) -> None:
    queue, lease = under_test.queue, relay_of(under_test)
    assert queue.skip_gone(lease, "outbox", "", 7) == 7
    assert queue.skip_gone(lease, "outbox", "", 7) == 7, "booked again, it is the same"
    queue.forward(lease, "outbox", "", [row(8), row(9)])
    source = under_test.books().sources["outbox"]
    assert (source.mark, source.relayed, source.gone) == ("9", 2, 7)
    with pytest.raises(MarkMoved):
        queue.skip_gone(lease, "outbox", "7", 7)
    assert queue.skip_gone(lease, "outbox", "9", 1) == 0, "never below nothing"


@dataclass(frozen=True)
class Theft:
    """Something that no script did.

    Attributes:
        in_memory: does it to the twin.
        on_server: does it to Redis.
        complaint: how what is said of it begins.
    """

    in_memory: Callable[[MemoryJobQueue], object]
    on_server: Callable[[Any, Keys], object]
    complaint: str


PARTITION = partition_of(comment(0).key, PARTITIONS)


def jobs_of(queue: MemoryJobQueue) -> dict[str, bytes]:
    return queue._partitions[PARTITION].jobs


def first_of(client: Any, key: str) -> Any:
    return client.xrange(key)[0]


THEFTS = {
    "a job stolen": Theft(
        lambda queue: jobs_of(queue).popitem(),
        lambda client, keys: client.xdel(
            keys.jobs(PARTITION), first_of(client, keys.jobs(PARTITION))[0]
        ),
        "partitions: 1 jobs are booked as queued and lie in no partition",
    ),
    "a job doubled": Theft(
        lambda queue: jobs_of(queue).update({"9-9": b"again"}),
        lambda client, keys: client.xadd(
            keys.jobs(PARTITION), first_of(client, keys.jobs(PARTITION))[1]
        ),
        "partitions: 1 jobs lie in the partitions that are not booked as queued",
    ),
    "a frame doubled": Theft(
        lambda queue: queue.log.append(Frame(("thread:1",), b"again")),
        lambda client, keys: client.xadd(keys.log, first_of(client, keys.log)[1]),
        "log: 1 entries were appended to the log by nobody who books it",
    ),
    "a frame that never came": Theft(
        lambda queue: queue._books.update(frames=queue._books["frames"] + 1),
        lambda client, keys: client.hincrby(keys.ledger, "frames", 1),
        "log: 1 entries are booked as appended and the log was never given them",
    ),
    "a letter stolen": Theft(
        lambda queue: queue.dead_letters.pop(),
        lambda client, keys: client.xdel(keys.dead, first_of(client, keys.dead)[0]),
        "dead letters: 1 events are booked as dead and have no letter",
    ),
    "an event in two states": Theft(
        lambda queue: queue._books.update(published=queue._books["published"] + 1),
        lambda client, keys: client.hincrby(keys.ledger, "published", 1),
        "queue: 1 events are in two states",
    ),
}


@pytest.mark.parametrize("what", THEFTS)
def test_the_books_notice(what: str, under_test: QueueUnderTest) -> None:
    live(under_test)
    theft = THEFTS[what]
    if isinstance(under_test.queue, MemoryJobQueue):
        theft.in_memory(under_test.queue)
    else:
        theft.on_server(under_test.client, keys_of(under_test))
    (said,) = complaints(under_test.books())
    assert said.startswith(theft.complaint)


def test_an_operators_hand_is_booked(on_a_server: QueueUnderTest) -> None:
    lease = live(on_a_server)
    control = Control(client_of(on_a_server), keys_of(on_a_server), PARTITIONS)
    on_a_server.expire(lease)
    lease, jobs = claimed(on_a_server)
    for job in jobs:
        on_a_server.queue.bury(lease, job.entry_id, "no way")
    letters = [letter.entry_id for letter in control.dead_letters()]
    assert control.discard_dead_letters(letters[:1]) == 1
    assert control.discard_dead_letters(letters[:1]) == 0
    assert control.retry_dead_letters(letters[1:2]) == 1
    books = on_a_server.books()
    assert complaints(books) == []
    assert (books.ledger.dead, books.ledger.discarded, books.letters) == (2, 1, 1)


def test_letters_that_are_too_many_are_booked(
    on_a_server: QueueUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_job_queue, "DEAD_LETTERS_KEPT", 0)
    live(on_a_server)
    books = on_a_server.books()
    assert complaints(books) == []
    assert (books.ledger.dead, books.ledger.trimmed, books.letters) == (1, 1, 0)


def test_a_publishers_letters_are_booked(on_a_server: QueueUnderTest) -> None:
    client, keys = client_of(on_a_server), keys_of(on_a_server)
    positions, control = Positions(client, keys), PublisherControl(client, keys)
    lease = on_a_server.queue.leases.acquire(lease_name("search"), "worker", LONG_SECONDS)
    assert lease is not None
    began = positions.begin(lease, "search")
    letter = DeadItem("", began.cursor, ("thread:1",), b"frame", 3, "it is refused")
    counts = {"seen": 4, "sent": 1, "dead": 3}
    turn = Advance(began.turn + 1, began.cursor, began.place, counts, [letter] * 3)
    positions.advance(lease, "search", turn)
    ids = [kept.entry_id for kept in control.dead_letters("search")]
    assert control.retry_dead_letters("search", ids[:1]) == 1
    assert control.discard_dead_letters("search", ids[1:2]) == 1
    books = on_a_server.books()
    assert complaints(books) == []
    (publisher,) = books.publishers
    assert (publisher.kept_again, publisher.discarded, publisher.kept_dead) == (1, 1, 1)
    client.xdel(keys.again("search"), client.xrange(keys.again("search"))[0][0])
    (said,) = complaints(on_a_server.books())
    assert said == "publisher letters search: 1 items are booked as dead and have no letter."
    client.hincrby(keys.publisher("search"), "seen", 1)
    (said, _) = complaints(on_a_server.books())
    assert said == "publisher search: 1 entries were passed and nothing became of them."


@pytest.mark.parametrize("which", ["dead_of", "again"])
def test_a_publishers_turn_that_cannot_keep_its_letters_is_not_booked(
    on_a_server: QueueUnderTest, which: str
) -> None:
    client, keys = client_of(on_a_server), keys_of(on_a_server)
    positions = Positions(client, keys)
    lease = on_a_server.queue.leases.acquire(lease_name("search"), "worker", LONG_SECONDS)
    assert lease is not None
    began = positions.begin(lease, "search")
    letter = DeadItem("", began.cursor, ("thread:1",), b"frame", 3, "it is refused")
    counts = {"seen": 1, "dead": 1}
    turn = Advance(began.turn + 1, began.cursor, began.place, counts, [letter], again=["1-1"])
    key = getattr(keys, which)("search")
    client.set(key, "garbage")
    before = client.hgetall(keys.publisher("search"))
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        positions.advance(lease, "search", turn)
    assert client.hgetall(keys.publisher("search")) == before
    client.delete(key)
    assert positions.advance(lease, "search", turn)
    assert complaints(on_a_server.books()) == []


def test_an_emptied_redis_begins_books_that_balance(on_a_server: QueueUnderTest) -> None:
    live(on_a_server)
    client, keys = client_of(on_a_server), keys_of(on_a_server)
    epoch = on_a_server.log.cursor().epoch
    client.delete(keys.ledger, keys.relay, keys.log, keys.epoch, keys.dead, keys.lease(RELAY))
    client.delete(keys.jobs(PARTITION), keys.lease(str(PARTITION)), keys.claimed)
    assert complaints(on_a_server.books()) == []
    on_a_server.log.begin_epoch(epoch)
    live(on_a_server)
    assert complaints(on_a_server.books()) == []
    assert on_a_server.books().ledger.lost == 0


def test_a_lost_log_is_booked_when_its_epoch_ends(on_a_server: QueueUnderTest) -> None:
    live(on_a_server)
    client, keys, log = client_of(on_a_server), keys_of(on_a_server), on_a_server.log
    epoch = log.cursor().epoch
    client.delete(keys.log)
    (said,) = complaints(on_a_server.books())
    assert said.startswith("log: 4 entries are booked as appended")
    log.begin_epoch(epoch)
    books = on_a_server.books()
    assert complaints(books) == []
    assert books.ledger.lost == 4
    log.delete_channel("thread:1")
    assert complaints(on_a_server.books()) == []


@pytest.mark.parametrize("ends", ["finished", "buried"])
def test_a_log_that_is_none_costs_no_job(ends: str, on_a_server: QueueUnderTest) -> None:
    queue = on_a_server.queue
    queue.put(comment(1))
    lease, (job,) = claimed(on_a_server)
    client_of(on_a_server).set(keys_of(on_a_server).log, "not a log")
    frame = frame_of(job.event())
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        if ends == "finished":
            queue.finish(lease, [Finished(job.entry_id, (frame,))])
        else:
            queue.bury(lease, job.entry_id, "no way", [frame])
    assert complaints(on_a_server.books()) == []
    client_of(on_a_server).delete(keys_of(on_a_server).log)
    assert queue.finish(lease, [Finished(job.entry_id, (frame,))]) == 1
    assert complaints(on_a_server.books()) == []


def test_what_is_no_stream_cannot_be_told(on_a_server: QueueUnderTest) -> None:
    live(on_a_server)
    client_of(on_a_server).set(keys_of(on_a_server).log, "not a log")
    unknown = {account.stage: account.unknown for account in accounts_of(on_a_server.books())}
    assert unknown["log"] == "the key of the log holds no stream"
    assert unknown["queue"] == ""
