"""What the log and the histories promise, on Redis and in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pushgate import Cursor, Event, Finished, InvalidChannel
from pushgate.frames import frame_of
from pushgate.job_queue import FROM_THE_START, partition_of
from pushgate.log import HISTORY_LENGTH, HISTORY_SECONDS, HISTORY_SLACK, History, ResetReason
from tests.queue.conftest import LIMIT, QueueUnderTest


def publish(under_test: QueueUnderTest, count: int, channel: str = "thread:1") -> None:
    """Sends events through the queue until `count` frames are in the log."""
    queue = under_test.queue
    name = str(partition_of(channel, queue.partitions))
    lease = queue.leases.acquire(name, "worker", 600)
    assert lease is not None
    for start in range(0, count, LIMIT):
        for n in range(start, min(start + LIMIT, count)):
            queue.put(Event("comment.created", (channel,), {"id": n}))
        jobs = queue.claim(lease, FROM_THE_START, LIMIT)
        done = [Finished(job.entry_id, (frame_of(job.event()),)) for job in jobs]
        assert queue.finish(lease, done) == len(done)
    queue.leases.release(lease)


def test_a_cursor_of_now_has_nothing_behind_it(under_test: QueueUnderTest) -> None:
    publish(under_test, 3)
    history = under_test.log.history("thread:1", under_test.log.cursor())
    assert history.entries == ()
    assert history.reset is None


def test_the_epoch_stays_while_nothing_is_lost(under_test: QueueUnderTest) -> None:
    first = under_test.log.cursor()
    publish(under_test, 1)
    second = under_test.log.cursor()
    assert first.epoch == second.epoch
    assert (second.ms, second.seq) > (first.ms, first.seq)


def test_a_channel_without_frames_needs_no_reset(under_test: QueueUnderTest) -> None:
    publish(under_test, 1)
    cursor = under_test.log.cursor()
    assert under_test.log.history("thread:2", cursor).reset is None


def test_history_is_what_came_after_the_cursor(under_test: QueueUnderTest) -> None:
    publish(under_test, 2)
    cursor = under_test.log.cursor()
    publish(under_test, 3)
    publish(under_test, 1, "thread:2")
    history = under_test.log.history("thread:1", cursor)
    assert history.reset is None
    assert len(history.entries) == 3
    assert list(history.entries) == under_test.log.after(cursor.entry_id, 3)


def test_a_new_epoch_is_begun_once_for_each_loss(under_test: QueueUnderTest) -> None:
    publish(under_test, 2)
    shown = under_test.log.cursor()
    moved = under_test.log.begin_epoch(shown.epoch)
    assert moved.epoch != shown.epoch
    assert moved.entry_id == shown.entry_id
    assert under_test.log.begin_epoch(shown.epoch) == moved, "another part saw the same loss"
    assert under_test.log.cursor() == moved
    assert under_test.log.history("thread:1", shown).reset is ResetReason.EPOCH


def test_a_cursor_of_another_epoch_gets_a_reset(under_test: QueueUnderTest) -> None:
    publish(under_test, 1)
    now = under_test.log.cursor()
    other = "00000000" if now.epoch != "00000000" else "00000001"
    history = under_test.log.history("thread:1", Cursor(other, now.ms, now.seq))
    assert history.reset is ResetReason.EPOCH


def test_a_cursor_older_than_the_time_kept_gets_a_reset(under_test: QueueUnderTest) -> None:
    publish(under_test, 1)
    now = under_test.log.cursor()
    old = Cursor(now.epoch, now.ms - (HISTORY_SECONDS + 60) * 1000, 0)
    assert under_test.log.history("thread:1", old).reset is ResetReason.HISTORY


def test_a_reset_comes_exactly_when_a_frame_behind_the_cursor_was_cut(
    under_test: QueueUnderTest,
) -> None:
    publish(under_test, 1)
    first = under_test.log.cursor()
    longest = HISTORY_LENGTH + HISTORY_SLACK
    publish(under_test, longest - 1)
    history = under_test.log.history("thread:1", first)
    assert history.reset is None
    assert len(history.entries) == longest - 1
    publish(under_test, 1)
    assert under_test.log.history("thread:1", first).reset is ResetReason.HISTORY
    *_, before_last_cut, last_cut = history.entries[:HISTORY_SLACK]
    cursor = Cursor.of_entry(first.epoch, before_last_cut.entry_id)
    assert under_test.log.history("thread:1", cursor).reset is ResetReason.HISTORY
    cursor = Cursor.of_entry(first.epoch, last_cut.entry_id)
    history = under_test.log.history("thread:1", cursor)
    assert history.reset is None
    assert len(history.entries) == HISTORY_LENGTH


def test_a_deleted_channel_has_no_history_and_older_cursors_get_a_reset(
    under_test: QueueUnderTest,
) -> None:
    log = under_test.log
    before = log.cursor()
    publish(under_test, 3)
    last = log.cursor()
    deleted = Cursor.of_entry(last.epoch, log.delete_channel("thread:1"))
    assert deleted == log.cursor() > last
    for cursor in (before, last):
        assert log.history("thread:1", cursor).reset is ResetReason.HISTORY
    assert log.history("thread:1", deleted) == History()
    publish(under_test, 2)
    assert len(log.history("thread:1", deleted).entries) == 2


def test_a_deletion_is_an_entry_of_the_log_without_a_frame(under_test: QueueUnderTest) -> None:
    publish(under_test, 1)
    start = under_test.log.cursor()
    entry_id = under_test.log.delete_channel("thread:1")
    publish(under_test, 1)
    deletion, frame = under_test.log.after(start.entry_id, 10)
    assert (deletion.entry_id, deletion.channels, deletion.frame) == (entry_id, ("thread:1",), b"")
    assert deletion.is_deletion
    assert not frame.is_deletion


def test_a_deletion_leaves_other_channels_and_the_books_alone(under_test: QueueUnderTest) -> None:
    start = under_test.log.cursor()
    publish(under_test, 1)
    publish(under_test, 2, "thread:2")
    books = under_test.ledger()
    under_test.log.delete_channel("thread:1")
    assert len(under_test.log.history("thread:2", start).entries) == 2
    assert under_test.ledger() == replace(books, deletions=1), "no event changed its state"


def test_a_deletion_that_is_repeated_deletes_once(under_test: QueueUnderTest) -> None:
    first = under_test.log.delete_channel("thread:1", "clean-up")
    publish(under_test, 1)
    end = under_test.log.cursor()
    assert under_test.log.delete_channel("thread:1", "clean-up") == first
    assert under_test.log.cursor() == end
    cursor = Cursor.of_entry(end.epoch, first)
    assert len(under_test.log.history("thread:1", cursor).entries) == 1
    assert under_test.log.delete_channel("thread:1") != first


def test_a_channel_without_frames_can_be_deleted(under_test: QueueUnderTest) -> None:
    start = under_test.log.cursor()
    under_test.log.delete_channel("thread:9")
    assert under_test.log.history("thread:9", start).reset is ResetReason.HISTORY
    with pytest.raises(InvalidChannel):
        under_test.log.delete_channel("Thread 9")
