"""The checker knows which resets were justified."""

from __future__ import annotations

import pytest

from pushgate.log import HISTORY_LENGTH
from tests.faults.checking.expectations import assert_clean, assert_found, some_events
from tests.faults.evidence import Kind, Sign


def test_a_reset_after_the_log_lost_its_end_is_justified(story, reader):
    events = some_events(story)
    story.deliver(reader, events)
    story.lose_tail(events[3:], "bbbbbbbb")
    story.mark(reader, Sign.RESET, "bbbbbbbb.1004-0", "epoch")
    story.deliver(reader, events[3:])
    verdict = assert_clean(story)
    assert verdict.resets == 1


def test_a_reset_that_a_resume_brings_says_its_position_first(story, reader):
    events = some_events(story)
    story.deliver(reader, events)
    story.mark(reader, Sign.ENDED)
    story.lose_tail(events[3:], "bbbbbbbb")
    story.mark(reader, Sign.SUBSCRIBED, "bbbbbbbb.1004-0")
    story.mark(reader, Sign.RESET, "bbbbbbbb.1004-0", "epoch")
    story.deliver(reader, events[3:])
    assert_clean(story)


def test_of_several_moves_while_a_reader_was_away_one_that_was_justified_does(story, reader):
    story.deliver(reader, some_events(story))
    story.move_epoch("bbbbbbbb", justified=True)
    story.move_epoch("cccccccc", justified=False)
    story.mark(reader, Sign.RESET, story.here(), "epoch")
    assert_clean(story)


@pytest.mark.parametrize("justified", [False, None])
def test_a_reset_although_the_log_lost_nothing_is_false(story, reader, justified):
    story.deliver(reader, some_events(story))
    if justified is None:
        story.epoch = "bbbbbbbb"
    else:
        story.move_epoch("bbbbbbbb", justified=justified)
    story.mark(reader, Sign.RESET, "bbbbbbbb.9000-0", "epoch")
    assert_found(story, Kind.FALSE_RESET)


def test_a_loss_is_not_told_in_the_old_epoch(story, reader):
    """Its position is void as soon as the new epoch begins, and all would be told once more."""
    story.deliver(reader, some_events(story))
    story.mark(reader, Sign.RESET, story.here(), "epoch")
    story.move_epoch("bbbbbbbb", justified=True)
    assert_found(story, Kind.FALSE_RESET)


def test_a_second_reset_of_one_epoch_is_false(story, reader):
    story.deliver(reader, some_events(story))
    story.move_epoch("bbbbbbbb", justified=True)
    for _ in range(2):
        story.mark(reader, Sign.RESET, story.here(), "epoch")
    verdict = assert_found(story, Kind.FALSE_RESET)
    assert "of that epoch already" in verdict.findings[0].sentence
    assert verdict.resets == 1


def test_a_move_before_the_reader_came_justifies_no_reset_of_a_later_one(story):
    story.move_epoch("bbbbbbbb", justified=True)
    reader = story.reader()
    story.deliver(reader, some_events(story))
    story.move_epoch("cccccccc", justified=False)
    story.mark(reader, Sign.RESET, story.here(), "epoch")
    assert_found(story, Kind.FALSE_RESET)


@pytest.mark.parametrize("missed, justified", [(HISTORY_LENGTH, True), (HISTORY_LENGTH - 1, False)])
def test_a_reset_for_the_history_needs_as_many_events_in_between(story, reader, missed, justified):
    events = some_events(story, missed + 4)
    story.here()
    story.deliver(reader, events[:2])
    story.mark(reader, Sign.ENDED)
    story.mark(reader, Sign.RESET, story.cursor_of(events[-3]), "history")
    story.deliver(reader, events[-2:])
    if justified:
        assert_clean(story)
    else:
        assert_found(story, Kind.FALSE_RESET)


def test_a_reset_for_a_reason_of_its_own_is_false(story, reader):
    story.mark(reader, Sign.RESET, story.here(), "cursor")
    assert_found(story, Kind.FALSE_RESET)
