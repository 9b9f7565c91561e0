"""From readings of the log to what is to be sent: filters, gaps, epochs."""

from __future__ import annotations

import json
from typing import Any

from formatter.publishers import Publisher
from formatter.publishers.reader import LogReader
from formatter.publishers.window import MOST_SLOTS, Slot, Window
from pushgate import Cursor, Event, LogEntry, frame_of
from pushgate.positions import DeadItem, Position, Reading

EPOCH = "0000000a"


def entry(place: int, channel: str = "thread:1", kind: str = "comment.created") -> LogEntry:
    frame = frame_of(Event(kind, (channel,), {"number": place}))
    return LogEntry(f"{1_000 + place}-0", frame.channels, frame.data)


def reading(
    *entries: LogEntry, first: int = 1, added: int | None = None, epoch: str = EPOCH, **more: Any
) -> Reading:
    """Of a log whose first entry has the place `first`; an entry's place is its ms - 1000."""
    last = added if added is not None else int(entries[-1].entry_id.split("-")[0]) - 1_000
    length = last - first + 1
    facts: dict[str, Any] = {
        "added": last,
        "length": length,
        "first_id": f"{1_000 + first}-0" if length else "",
        "last_id": f"{1_000 + last}-0",
        "now_ms": 5_000,
        "again": (),
        "stopped": "",
    }
    return Reading(epoch=epoch, entries=entries, **{**facts, **more})


class Setting:
    """A reader that stands behind an entry, and what it put into its window."""

    def __init__(self, place: int | None = 0, untold: str = "", **options: Any) -> None:
        self.publisher = Publisher("reader", **{"channels": ["thread:*"], **options})
        self.window = Window()
        cursor = Cursor(EPOCH, 1_000 + (place or 0), 0)
        self.reader = LogReader(self.publisher, Position(cursor, place, 0, untold), self.window)

    def take(self) -> list[Slot]:
        """Everything to be sent; each is done at once."""
        found = []
        while slots := self.window.take(1, 0.0):
            found += [(slot, slot.item) for slot in slots]
            for slot in slots:
                self.window.finish(slot, "" if slot.is_gap else "sent")
        for slot, item in found:
            slot.item = item
        return [slot for slot, _ in found]

    def told(self) -> list[Any]:
        """What is to be sent, told shortly: a number, or a gap's reason and size."""
        found: list[Any] = []
        for slot in self.take():
            assert slot.item is not None
            data = json.loads(slot.item.data)
            gap = slot.item.is_reset
            found.append((data["reason"], data["missed"]) if gap else data["number"])
        return found


def test_entries_are_sent_in_the_logs_order_with_their_cursor() -> None:
    setting = Setting()
    setting.reader.add(reading(entry(1), entry(2), entry(3)))
    slots = setting.take()
    assert [slot.cursor for slot in slots] == [Cursor(EPOCH, 1_000 + n, 0) for n in (1, 2, 3)]
    assert [slot.place for slot in slots] == [1, 2, 3]


def test_channels_and_types_not_wanted_are_skipped() -> None:
    setting = Setting(channels=["thread:*", "forum:7"], types=["comment.", "post.created"])
    entries = (
        entry(1, "user:1"),
        entry(2, "forum:7"),
        entry(3, "forum:70"),
        entry(4, kind="post.created"),
        entry(5, kind="post.deleted"),
        entry(6, kind="commentary.created"),
        entry(7, kind="comment.deleted"),
    )
    setting.reader.add(reading(*entries))
    assert setting.told() == [2, 4, 7]
    settled = setting.window.settle()
    assert settled.counts == {"seen": 7, "sent": 3, "skipped": 4}
    assert settled.place == 7


def test_the_deletion_of_a_channel_is_passed_over() -> None:
    setting = Setting()
    setting.reader.add(reading(entry(1), LogEntry("1002-0", ("thread:1",), b""), entry(3)))
    assert setting.told() == [1, 3]
    settled = setting.window.settle()
    assert settled.counts == {"seen": 3, "sent": 2, "skipped": 1}
    assert settled.place == 3


def test_a_new_publisher_tells_first_that_it_begins() -> None:
    setting = Setting(untold="new")
    setting.reader.add(reading(entry(1)))
    assert setting.told() == [("new", 0), 1]
    assert setting.window.settle().told


def test_what_was_cut_off_is_counted_and_told_before_what_follows() -> None:
    setting = Setting(place=10)
    setting.reader.add(reading(entry(41), entry(42), first=41))
    assert setting.told() == [("history", 30), 41, 42]
    settled = setting.window.settle()
    assert settled.counts == {"seen": 32, "missed": 30, "sent": 2, "resets": 1}
    assert settled.place == 42


def test_a_log_that_begins_right_behind_the_position_has_no_gap() -> None:
    setting = Setting(place=10)
    setting.reader.add(reading(entry(11), entry(12), first=11))
    assert setting.told() == [11, 12]


def test_a_log_that_was_cut_behind_the_position_but_not_beyond_has_no_gap() -> None:
    setting = Setting(place=10)
    setting.reader.add(reading(entry(11), entry(12), first=5))
    assert setting.told() == [11, 12]


def test_a_log_cut_off_to_its_end_is_a_gap_as_well() -> None:
    setting = Setting(place=10)
    setting.reader.add(reading(first=31, added=30))
    assert setting.told() == [("history", 20)]
    assert setting.window.settle().place == 30


def test_a_publisher_that_tells_of_no_gaps_counts_them_all_the_same() -> None:
    setting = Setting(place=10)
    setting.publisher.tells_resets = False
    setting.reader.add(reading(entry(41), first=41))
    assert setting.told() == [41]
    assert setting.window.settle().counts == {"seen": 31, "missed": 30, "sent": 1, "resets": 1}


def test_in_a_new_epoch_it_goes_on_with_what_is_there_behind_its_position() -> None:
    setting = Setting(place=10)
    setting.reader.add(reading(entry(11), first=1, added=15, epoch="0000000b"))
    assert setting.reader.has_more
    assert setting.reader.entry_id == "1010-0"
    setting.reader.add(reading(entry(11), entry(15), first=1, epoch="0000000b"))
    assert setting.told() == [("epoch", None), 11, 15]
    settled = setting.window.settle()
    assert settled.cursor == Cursor("0000000b", 1_015, 0)
    assert settled.place == 15, "known again, for the end of the log was seen"


def test_in_a_new_epoch_whose_log_ends_before_the_position_it_stands_at_that_end() -> None:
    setting = Setting(place=10)
    setting.reader.add(reading(first=1, added=4, epoch="0000000b"))
    assert setting.reader.entry_id == "1004-0"
    setting.reader.add(reading(entry(5), first=1, epoch="0000000b"))
    assert setting.told() == [("epoch", None), 5]


def test_a_cut_where_nobody_counted_is_told_without_a_number() -> None:
    setting = Setting(place=10)
    setting.reader.add(reading(entry(11), first=1, added=500, epoch="0000000b"))
    setting.reader.add(reading(entry(400), first=400, added=500, epoch="0000000b"))
    assert setting.told() == [("epoch", None), ("history", None), 400]


def test_a_full_window_takes_in_nothing() -> None:
    setting = Setting()
    setting.reader.add(reading(*(entry(n) for n in range(1, MOST_SLOTS + 1))))
    assert setting.reader.wants()[1] == 1, "one look for a stop, not for entries"
    before = setting.reader.entry_id
    setting.reader.add(reading(entry(MOST_SLOTS + 1)))
    assert setting.reader.entry_id == before


def test_letters_to_be_sent_again_go_beside_the_log_under_their_old_id() -> None:
    setting = Setting()
    first = entry(1)
    setting.reader.add(reading(first))
    cursor = Cursor(EPOCH, 1_001, 0)
    letter = DeadItem("77-0", cursor, first.channels, first.frame, 3, "422")
    setting.reader.add(reading(added=1, again=(letter,)))
    assert setting.reader.wants()[2] == "77-0"
    sent, again = setting.take()
    assert sent.item is not None and again.item is not None
    assert again.item == sent.item
    assert again.cursor is None
