"""The checker compares what was asked of the site, the outbox's rows and what is stored."""

from __future__ import annotations

import pytest

from loadtest.record import Answer
from tests.faults.checking.expectations import assert_clean, assert_found, some_events
from tests.faults.evidence import Kind

UPDATED, DELETED = "comment.updated", "comment.deleted"


@pytest.mark.parametrize("doomed, answer", [(True, Answer.NONE), (False, Answer.REFUSED)])
def test_an_event_of_what_was_rolled_back_or_refused_is_untold(story, reader, doomed, answer):
    events = story.write(answer=answer, doomed=doomed)
    story.deliver(reader, events)
    assert_found(story, Kind.UNTOLD)


def test_an_accepted_write_without_its_event_is_untold(story, reader):
    story.write(happens=False)
    assert_found(story, Kind.UNTOLD)


def test_an_accepted_bulk_write_with_a_part_of_its_events_is_untold(story, reader):
    events = story.write(many=3)
    story.evidence.committed.remove(events[1])
    del story.evidence.stored[events[1].data["id"]]
    story.deliver(reader, [events[0], events[2]])
    assert_found(story, Kind.UNTOLD)


def test_an_unanswered_write_may_have_happened_or_not(story, reader):
    happened = story.write(answer=Answer.NONE, many=2)
    story.write(answer=Answer.NONE, happens=False)
    comments = [event.data["id"] for event in happened]
    edited = story.write(type=UPDATED, comments=comments, answer=Answer.NONE)
    story.write(type=DELETED, comments=comments, answer=Answer.NONE, happens=False)
    gone = story.write(type=DELETED, comments=comments, answer=Answer.NONE)
    story.write(type=DELETED, comments=comments, answer=Answer.REFUSED, happens=False)
    story.deliver(reader, happened + edited + gone)
    verdict = assert_clean(story)
    assert verdict.ambiguous == 5


def test_an_unanswered_bulk_write_is_whole_or_nothing(story, reader):
    created = story.write(many=3)
    comments = [event.data["id"] for event in created]
    edited = story.write(type=UPDATED, comments=comments, answer=Answer.NONE)
    story.evidence.committed.remove(edited[2])
    story.evidence.stored[comments[2]] = (7, created[2].data["text"])
    story.deliver(reader, created + edited[:2])
    assert_found(story, Kind.UNTOLD)


def test_a_deletion_that_was_refused_and_happened_is_untold(story, reader):
    created = story.write(many=2)
    comments = [event.data["id"] for event in created]
    gone = story.write(type=DELETED, comments=comments[:1], answer=Answer.REFUSED)
    story.deliver(reader, created + gone)
    assert_found(story, Kind.UNTOLD)


def test_a_row_that_was_written_twice_is_untold(story, reader):
    (event,) = story.write()
    (again,) = story.write()
    again = story.replace_row(again, data=event.data, object=event.object)
    story.evidence.writes.pop()
    story.evidence.stored.popitem()
    story.deliver(reader, [event, again])
    assert_found(story, Kind.UNTOLD)


def test_an_event_of_another_type_than_was_written_is_untold(story, reader):
    (created,) = story.write()
    (edited,) = story.write(type=UPDATED, comments=[created.data["id"]])
    story.evidence.writes[-1].type = "comment.created"
    story.deliver(reader, [created, edited])
    assert_found(story, Kind.UNTOLD)


def test_an_event_that_nobody_wrote_is_untold(story, reader):
    events = some_events(story)
    story.evidence.writes.pop()
    story.deliver(reader, events)
    assert_found(story, Kind.UNTOLD)


def test_an_event_of_another_comment_than_was_named_is_untold(story, reader):
    events = story.write(many=2)
    write = story.evidence.writes[-1]
    write.comments = write.comments[:1]
    story.deliver(reader, events)
    assert_found(story, Kind.UNTOLD)


@pytest.mark.parametrize("by", [Answer.ACCEPTED, Answer.REFUSED, None])
def test_a_deletion_that_nobody_can_have_made_is_untold(story, reader, by):
    created = story.write(many=2)
    comments = [event.data["id"] for event in created]
    gone = story.write(type=DELETED, comments=comments[:1])
    if by is Answer.ACCEPTED:
        # Two were told that it was they.
        story.write(type=DELETED, comments=comments[:1], happens=False)
    elif by is Answer.REFUSED:
        story.evidence.writes[-1].answer = Answer.REFUSED
        story.write(type=DELETED, comments=comments[:1], answer=Answer.REFUSED, happens=False)
    else:
        story.evidence.writes.pop()
    story.deliver(reader, created + gone)
    assert_found(story, Kind.UNTOLD)


def test_a_second_deletion_of_one_comment_is_untold(story, reader):
    created = story.write(many=2)
    first = story.write(type=DELETED, comments=[created[0].data["id"]])
    (second,) = story.write(type=DELETED, comments=[created[1].data["id"]], answer=Answer.NONE)
    story.evidence.writes.pop()
    again = story.replace_row(second, data=first[0].data, object=first[0].object)
    story.evidence.stored[created[1].data["id"]] = (7, created[1].data["text"])
    story.deliver(reader, [*created, *first, again])
    assert_found(story, Kind.UNTOLD)


def test_a_change_without_an_event_is_untold(story, reader):
    events = some_events(story)
    story.deliver(reader, events)
    story.evidence.stored[events[0].data["id"]] = (7, "changed behind the hook")
    del story.evidence.stored[events[1].data["id"]]
    assert_found(story, Kind.UNTOLD, 2)


def test_threads_that_are_none_of_the_run_s_are_left_alone(story, reader):
    story.evidence.stored[1] = (1, "The demo thread")
    assert_clean(story)


def test_an_unanswered_bulk_write_of_which_a_part_was_committed_is_untold(story, reader):
    events = story.write(many=3, answer=Answer.NONE)
    story.evidence.writes[-1].comments = ()
    story.evidence.writes[-1].many = 3
    story.evidence.committed.remove(events[1])
    del story.evidence.stored[events[1].data["id"]]
    story.deliver(reader, [events[0], events[2]])
    assert_found(story, Kind.UNTOLD)
