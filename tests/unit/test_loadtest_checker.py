"""The load test's checker finds what is wrong: each fault is made once and must be found."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from loadtest.checker import Finding, Verdict, check, missing
from loadtest.eventsource import ReceivedEvent
from loadtest.record import Answer, Journal, Kind, Record, Write, number_in, text_with

START = 1_700_000_000


class Run:
    """A run in which every write is accepted and every reader gets every frame; then broken."""

    def __init__(self, readers: int = 2) -> None:
        self.record = Record([7])
        self.journals = [self.record.add_reader() for _ in range(readers)]
        for journal in self.journals:
            journal.subscribed_at = 0.0
        self.frames: list[ReceivedEvent] = []
        self.clock = 0.0

    def write(
        self,
        kind: Kind = Kind.CREATE,
        comment: int = 0,
        answer: Answer = Answer.ACCEPTED,
        answered_after: float = 1,
    ) -> Write:
        """Write once, one second after the last."""
        self.clock += 2
        write = self.record.begin(self.record.threads[0], kind, comment, self.clock)
        write.comment = comment or 100 + write.number
        write.answer = answer
        if answer is Answer.ACCEPTED:
            write.answered_at = self.clock + answered_after
        self.frames.append(frame_of(write))
        return write

    def deliver(self, journal: Journal, frames: list[ReceivedEvent] | None = None) -> None:
        """Have a reader get frames; all there are when none are given."""
        for frame in self.frames if frames is None else frames:
            journal.receive(frame, connected_time=0)


def frame_of(write: Write, place: int = 0, version: int = 0, event: int = 0) -> ReceivedEvent:
    """The frame of a write; its place in the log is the write's number when not given."""
    place = place or write.number
    data = {
        "event_id": f"{event or write.number:032x}",
        "object": f"threads.comment:{write.comment}",
        "version": version or place,
        "at": "2026-01-01T00:00:00Z",
        "id": write.comment,
        "text": text_with(write.number, "Words."),
    }
    cursor = f"0123abcd.{START + place}-0"
    return ReceivedEvent(write.kind.value, json.dumps(data), cursor, START + place)


@pytest.fixture
def run() -> Run:
    """Four writes to two comments, accepted."""
    run = Run()
    first = run.write()
    run.write()
    run.write(Kind.UPDATE, first.comment)
    run.write(Kind.DELETE, first.comment)
    return run


def found(run: Run) -> Counter[Finding]:
    """What the checker finds when the first reader got all."""
    run.deliver(run.journals[0])
    return check(run.record).counts


def test_nothing_is_found_where_all_is_well(run: Run) -> None:
    for journal in run.journals:
        run.deliver(journal)

    verdict = check(run.record)

    assert verdict == Verdict(due=8, received=8)
    assert verdict.clean
    assert missing(run.record) == 0


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
def test_a_lost_frame_is_a_gap(run: Run, lost: int) -> None:
    run.deliver(run.journals[1], run.frames[:lost] + run.frames[lost + 1 :])

    assert found(run) == {Finding.GAP: 1}
    assert missing(run.record) == 1


def test_a_frame_that_no_reader_got_is_a_gap_for_each(run: Run) -> None:
    for journal in run.journals:
        run.deliver(journal, run.frames[1:])

    assert check(run.record).counts == {Finding.GAP: 2}


def test_a_reader_that_got_nothing_at_all_missed_everything(run: Run) -> None:
    assert found(run) == {Finding.GAP: 4}


@pytest.mark.parametrize("repeated", [0, 3])
def test_a_frame_that_comes_again_is_a_repeat(run: Run, repeated: int) -> None:
    run.deliver(run.journals[1], [*run.frames, run.frames[repeated]])

    assert found(run) == {Finding.REPEAT: 1}


def test_an_event_that_is_published_again_under_a_new_id_is_a_repeat(run: Run) -> None:
    again = frame_of(run.record.threads[0].writes[1], place=90)
    run.deliver(run.journals[1], [*run.frames, again])

    assert found(run)[Finding.REPEAT] == 2, "once for the reader and once for the thread"


def test_a_write_that_made_two_events_is_a_repeat_though_each_reader_got_one(run: Run) -> None:
    other = frame_of(run.record.threads[0].writes[3], place=90, event=90)
    run.deliver(run.journals[1], [*run.frames[:3], other])

    assert found(run) == {Finding.REPEAT: 1}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_swapped_frames_are_out_of_order(run: Run, place: int) -> None:
    frames = list(run.frames)
    frames[place], frames[place + 1] = frames[place + 1], frames[place]
    run.deliver(run.journals[1], frames)

    assert found(run) == {Finding.OUT_OF_ORDER: 1}


def test_writes_that_the_server_swapped_before_it_numbered_them_are_out_of_order() -> None:
    run = Run(readers=1)
    first, second = run.write(), run.write()
    run.frames = [frame_of(second, place=1), frame_of(first, place=2)]

    assert found(run) == {Finding.OUT_OF_ORDER: 1}


def test_writes_that_overlapped_may_come_in_either_order() -> None:
    run = Run(readers=1)
    first, second = run.write(answered_after=5), run.write()
    run.frames = [frame_of(second, place=1), frame_of(first, place=2)]

    assert not found(run)


def test_a_version_that_does_not_grow_is_out_of_order() -> None:
    run = Run(readers=1)
    first = run.write()
    second = run.write(Kind.UPDATE, first.comment, answered_after=9)
    run.frames = [frame_of(first, version=5), frame_of(second, version=5)]

    assert found(run) == {Finding.OUT_OF_ORDER: 1}


def test_a_frame_without_a_cursor_is_out_of_order(run: Run) -> None:
    frame = run.frames[1]
    broken = ReceivedEvent(frame.type, frame.data, "", frame.received_at)
    run.deliver(run.journals[1], [run.frames[0], broken, *run.frames[2:]])

    assert found(run)[Finding.OUT_OF_ORDER] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.data.replace("(write 2)", "(write 999)"),
        lambda frame: frame.data.replace("(write 2)", ""),
        lambda frame: frame.data.replace('"id": 102', '"id": 103'),
        lambda frame: "not JSON",
        lambda frame: "[]",
    ],
)
def test_what_nobody_wrote_is_a_stranger(run: Run, change: Callable[[ReceivedEvent], str]) -> None:
    frame = run.frames[1]
    strange = ReceivedEvent(frame.type, change(frame), frame.id, frame.received_at)
    assert strange.data != frame.data
    run.deliver(run.journals[1], [*run.frames[:2], strange, *run.frames[2:]])

    assert found(run) == {Finding.STRANGER: 1}


def test_another_threads_frame_is_a_stranger() -> None:
    record = Record([7, 8])
    here, _ = record.add_reader(), record.add_reader()
    here.subscribed_at = 0.0
    elsewhere = record.begin(record.threads[1], Kind.CREATE, 0, 1)
    elsewhere.comment, elsewhere.answer = 101, Answer.ACCEPTED
    here.receive(frame_of(elsewhere), connected_time=0)

    assert check(record).counts == {Finding.STRANGER: 1}


def test_the_frame_of_a_refused_write_is_a_stranger() -> None:
    run = Run(readers=1)
    run.write(answer=Answer.REFUSED)

    assert found(run) == {Finding.STRANGER: 1}


def test_what_was_begun_before_a_reader_connected_may_come_or_not(run: Run) -> None:
    run.journals[1].subscribed_at = run.clock - 1
    run.deliver(run.journals[1], run.frames[-2:])

    assert not found(run)


def test_an_unanswered_write_that_nobody_saw_is_not_missed() -> None:
    run = Run()
    run.write(answer=Answer.NONE)

    assert check(run.record).clean


def test_an_unanswered_write_that_one_reader_saw_is_due_to_all() -> None:
    run = Run()
    run.write(answer=Answer.NONE)

    assert found(run) == {Finding.GAP: 1}


def test_a_frame_may_come_before_the_answer_has_said_the_comments_id() -> None:
    run = Run(readers=1)
    write = run.record.begin(run.record.threads[0], Kind.CREATE, 0, 1)
    data = frame_of(Write(1, 7, Kind.CREATE, 55, 1))
    run.journals[0].receive(data, connected_time=0)
    write.comment, write.answer, write.answered_at = 55, Answer.ACCEPTED, 2

    assert check(run.record).clean


def test_examples_are_sentences_that_name_the_reader_and_the_write(run: Run) -> None:
    run.deliver(run.journals[0])
    run.deliver(run.journals[1], run.frames[:3])

    assert check(run.record).examples == [
        "gaps: reader 2 never got write 4 (comment.deleted 101, thread 7)"
    ]


def test_many_findings_are_all_counted_and_a_few_told() -> None:
    run = Run(readers=1)
    for _ in range(100):
        run.write()

    verdict = check(run.record)

    assert verdict.counts == {Finding.GAP: 100}
    assert len(verdict.examples) == 10


def test_a_frame_older_than_the_connection_counts_as_replayed(run: Run) -> None:
    journal = run.journals[0]
    journal.receive(run.frames[0], connected_time=0)
    journal.receive(run.frames[1], connected_time=4_000_000_000)

    assert list(journal.replayed) == [0, 1]


def test_readers_are_spread_evenly_over_the_threads() -> None:
    record = Record([1, 2, 3])
    threads = Counter(record.add_reader().thread.thread for _ in range(9))

    assert threads == {1: 3, 2: 3, 3: 3}


@pytest.mark.parametrize("number", [1, 42, 10**14])
def test_a_text_tells_its_writes_number(number: int) -> None:
    assert number_in(text_with(number, "Twice (write x) as good.")) == number


@pytest.mark.parametrize("text", ["", "nothing", "(write )", "(write -1)"])
def test_a_text_without_a_number_tells_none(text: str) -> None:
    assert number_in(text) == 0
