"""The fault harness' checker finds what is wrong: each fault is made once and must be found."""

from __future__ import annotations

import random
from array import array

import pytest

from tests.faults.checking.checker import check
from tests.faults.checking.expectations import (
    assert_clean,
    assert_found,
    sentences,
    some_events,
)
from tests.faults.checking.findings import MOST_LISTED
from tests.faults.checking.story import Story
from tests.faults.evidence import Kind, Mark, Sign

UPDATED, DELETED = "comment.updated", "comment.deleted"


def test_a_run_in_which_all_goes_well_is_clean(story, reader):
    events = some_events(story)
    story.deliver(reader, events)
    verdict = assert_clean(story)
    assert (verdict.deliveries, verdict.due) == (5, 5)


def test_edits_deletions_and_bulk_writes_are_clean(story, reader):
    created = story.write(many=3)
    comments = [event.data["id"] for event in created]
    edited = story.write(type=UPDATED, comments=comments)
    gone = story.write(type=DELETED, comments=comments[:2])
    story.deliver(reader, created + edited + gone)
    assert_clean(story)


def test_a_reader_that_resumes_where_it_was_is_clean(story, reader):
    events = some_events(story)
    story.deliver(reader, events[:2])
    story.mark(reader, Sign.ENDED)
    story.mark(reader, Sign.SUBSCRIBED, story.cursor_of(events[1]))
    story.deliver(reader, events[2:])
    assert_clean(story)


def test_a_write_under_way_while_a_reader_subscribed_may_come_or_not(story):
    early = story.write()
    late, lucky = story.reader(name="late"), story.reader(name="lucky")
    for reader in (late, lucky):
        reader.marks[0] = Mark(0, Sign.SUBSCRIBED, reader.marks[0].at, "aaaaaaaa.900-0")
    late.marks[0] = Mark(0, Sign.SUBSCRIBED, late.marks[0].at, story.here())
    events = some_events(story)
    story.deliver(late, events)
    story.deliver(lucky, story.log[:1] + early + events)
    assert_clean(story)


def test_readers_of_several_channels_are_looked_at_channel_by_channel(story):
    reader = story.reader(7, 8)
    first, second = some_events(story, 3), [e for _ in range(3) for e in story.write(thread=8)]
    mixed = [event for pair in zip(first, second, strict=True) for event in pair]
    for event in mixed:
        story.cursor_of(event)
    story.deliver(reader, mixed)
    assert_clean(story)


def test_an_event_that_is_missing_in_between_is_lost(story, reader):
    events = some_events(story)
    story.here()
    story.deliver(reader, events[:2] + events[3:])
    verdict = assert_found(story, Kind.LOST)
    assert f"row {events[2].row}" in verdict.findings[0].sentence
    assert verdict.findings[0].at == story.evidence.writes[3].begun_at
    assert verdict.due == 5


def test_what_was_written_after_a_reader_subscribed_is_due(story, reader):
    events = some_events(story)
    story.here()
    story.deliver(reader, events[1:])
    assert_found(story, Kind.LOST)


def test_what_has_an_id_behind_that_of_the_beginning_is_due(story):
    under_way = story.write()
    seer, reader = story.reader(name="seer"), story.reader(name="reader")
    seer.marks[0] = Mark(0, Sign.SUBSCRIBED, seer.marks[0].at, "aaaaaaaa.1001-0")
    # Its id is behind the one that the stream began with, though its write had begun before.
    reader.marks[0] = Mark(0, Sign.SUBSCRIBED, reader.marks[0].at, "aaaaaaaa.1001-0")
    story.deliver(seer, under_way)
    assert_found(story, Kind.LOST)


def test_the_last_events_are_due(story, reader):
    events = some_events(story)
    story.here()
    story.deliver(reader, events[:3])
    assert_found(story, Kind.LOST, 2)


def test_a_reader_that_got_nothing_lacks_everything(story, reader):
    some_events(story)
    assert_found(story, Kind.LOST, 5)


def test_a_resume_with_a_gap_is_found(story, reader):
    events = some_events(story)
    story.here()
    story.deliver(reader, events[:2])
    story.mark(reader, Sign.ENDED)
    story.mark(reader, Sign.SUBSCRIBED, story.cursor_of(events[2]))
    story.deliver(reader, events[3:])
    assert_found(story, Kind.LOST)


def test_an_event_that_comes_again_is_found(story, reader):
    events = some_events(story)
    story.deliver(reader, [*events[:3], events[2], *events[3:]])
    assert_found(story, Kind.TWICE)


def test_an_event_under_two_ids_of_one_epoch_is_twice(story, reader):
    events = some_events(story)
    story.deliver(reader, events)
    story.deliver_block(reader, story.block(events[-1], "aaaaaaaa.2000-0"))
    verdict = check(story.evidence)
    assert {finding.kind for finding in verdict.findings} == {Kind.TWICE}, sentences(verdict)


def test_an_event_with_another_id_for_another_reader_of_the_epoch_is_twice(story, reader):
    other = story.reader(name="reader 2")
    events = some_events(story)
    story.deliver(reader, events)
    story.deliver(other, events[:4])
    story.deliver_block(other, story.block(events[4], "aaaaaaaa.2000-0"))
    assert_found(story, Kind.TWICE)


def test_what_began_after_a_reader_came_is_due_wherever_its_row_stands(story):
    first, second, third = story.write() + story.write() + story.write()
    # The last that began got the first row: the others' transactions were slower.
    story.replace_row(third, row=first.row, event_id=first.event_id)
    story.replace_row(first, row=third.row, event_id=third.event_id)
    reader = story.reader()
    reader.marks[0] = Mark(0, Sign.SUBSCRIBED, story.evidence.writes[3].begun_at - 1)
    verdict = assert_found(story, Kind.LOST, 3)
    assert f"row {second.row}" in verdict.findings[1].sentence


def test_an_event_that_comes_behind_a_later_one_is_out_of_order(story, reader):
    events = some_events(story)
    story.here()
    story.deliver(reader, [*events[:2], events[3], events[2], events[4]])
    assert_found(story, Kind.OUT_OF_ORDER)


def test_an_object_s_versions_in_the_log_the_wrong_way_round_are_out_of_order(story, reader):
    events = some_events(story)
    for event in (*events[:2], events[3], events[2], events[4]):
        story.cursor_of(event)
    story.deliver(reader, [*events[:2], events[3], events[2], events[4]])
    assert_found(story, Kind.OUT_OF_ORDER)


def test_ids_that_fall_are_out_of_order(story, reader):
    events = some_events(story, 3)
    for number, event in zip((5, 4, 6), events, strict=True):
        story.deliver_block(reader, story.block(event, f"aaaaaaaa.200{number}-0"))
    assert_found(story, Kind.OUT_OF_ORDER)


def test_a_frame_at_or_before_the_stream_s_beginning_is_out_of_order(story, reader):
    events = some_events(story, 2)
    story.deliver(reader, events[:1])
    story.mark(reader, Sign.SUBSCRIBED, story.here())
    story.deliver(reader, events[1:])
    assert_found(story, Kind.OUT_OF_ORDER)


def test_a_frame_that_was_sent_as_other_bytes_to_another_reader_is_found(story, reader):
    other = story.reader(name="reader 2")
    events = some_events(story)
    story.deliver(reader, events)
    story.deliver(other, events[:4])
    story.deliver_block(other, story.block(events[4], permalink="/elsewhere/"))
    assert_found(story, Kind.OTHER_BYTES)


@pytest.mark.parametrize("changed", ["event_id", "version", "object", "id", "author", "text"])
def test_a_frame_that_no_row_says_is_a_stranger(story, reader, changed):
    other = story.reader(name="reader 2")
    events = some_events(story)
    story.deliver(other, events)
    story.deliver(reader, events)
    story.deliver_block(reader, story.block(events[0], "aaaaaaaa.9000-0", **{changed: "other"}))
    assert_found(story, Kind.STRANGER)


@pytest.mark.parametrize(
    "block",
    [
        b'id: aaaaaaaa.9000-0\nevent: gone\ndata: {"event_id":"1","type":"comment.created"}',
        b"id: aaaaaaaa.9000-0\nevent: comment.created\ndata: {not JSON",
        b"id: aaaaaaaa.9000-0\nevent: comment.created\ndata: []",
        b"half a frame",
    ],
)
def test_what_is_no_frame_of_an_event_is_a_stranger(story, reader, block):
    events = some_events(story)
    story.deliver(reader, events)
    story.deliver_block(reader, block)
    assert_found(story, Kind.STRANGER)


def test_a_frame_under_another_type_is_a_stranger(story, reader):
    events = some_events(story)
    story.deliver(reader, events)
    block = story.block(events[0], "aaaaaaaa.9000-0").replace(b".created", b".updated", 1)
    story.deliver_block(reader, block)
    assert_found(story, Kind.STRANGER)


def test_a_frame_without_an_id_is_a_stranger(story, reader):
    events = some_events(story)
    story.deliver(reader, events[:4])
    story.deliver_block(reader, story.block(events[4]).partition(b"\n")[2])
    assert_found(story, Kind.STRANGER)


def test_a_frame_of_another_channel_is_found(story, reader):
    events = some_events(story)
    other = story.write(thread=8)
    story.deliver(reader, events + other)
    assert_found(story, Kind.WRONG_CHANNEL)


def test_a_page_s_list_is_followed_from_where_it_read_it_last(story):
    page = story.reader(name="page 1")
    first = some_events(story)
    story.deliver(page, first)
    story.lose_tail(first[3:], "bbbbbbbb")
    story.mark(page, Sign.RESET, "bbbbbbbb.1004-0", "epoch")
    story.deliver(page, first[3:])
    gone = story.write(type=DELETED, comments=[first[0].data["id"]])
    story.list_anew(page)
    edited = story.write(type=UPDATED, comments=[first[1].data["id"]])
    more_gone = story.write(type=DELETED, comments=[first[2].data["id"]])
    # What the list holds already may come again, but need not.
    story.deliver(page, edited + more_gone)
    verdict = assert_clean(story)
    assert verdict.deliveries == len(first) + len(first[3:]) + 2
    assert gone


def test_a_page_whose_list_is_another_is_found(story):
    page = story.reader(name="page 1")
    story.list_anew(page)
    events = some_events(story)
    story.deliver(page, events)
    listed = page.marks[1].comments
    assert listed is not None
    listed[100] = "as it was an hour ago"
    assert_found(story, Kind.WRONG_LIST)


def test_times_are_those_of_delivery_where_they_were_noted(story, reader):
    events = some_events(story)
    story.deliver(reader, [*events, events[4]])
    reader.times = array("d", [2000.0, 2001, 2002, 2003, 2004, 2077])
    verdict = assert_found(story, Kind.TWICE)
    assert verdict.findings[0].at == 2077


def test_findings_beyond_the_bound_are_counted(story, reader):
    some_events(story, MOST_LISTED + 50)
    verdict = check(story.evidence)
    assert len(verdict.findings) == MOST_LISTED
    assert verdict.count(Kind.LOST) == MOST_LISTED + 50


def test_a_million_deliveries_are_looked_at():
    seed = 20
    chosen = random.Random(seed)
    story = Story()
    readers = [
        story.reader(*chosen.sample(range(5), chosen.choice((1, 1, 2))), name=f"reader {number}")
        for number in range(400)
    ]
    events = [event for _ in range(9_500) for event in story.write(thread=chosen.randrange(5))]
    of_thread = {thread: {f"thread:{thread}"} for thread in range(5)}
    indexes = []
    for event in events:
        indexes.append(len(story.evidence.frames))
        story.evidence.frames.append(story.block(event))
    for reader in readers:
        mine = set(reader.channels)
        reader.frames.extend(
            index
            for index, event in zip(indexes, events, strict=True)
            if mine & of_thread[event.data["thread"]]
        )
    verdict = assert_clean(story)
    assert verdict.deliveries == verdict.due > 900_000
    # One frame of one of them, anywhere.
    del readers[40].frames[chosen.randrange(1_500)]
    assert_found(story, Kind.LOST)
