"""What may be sent when, and up to where everything is done."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from formatter.publishers.item import Item, reset_of
from formatter.publishers.window import BODY_BYTES, MOST_SLOTS, Slot, State, Window
from pushgate import Cursor


def cursor(number: int) -> Cursor:
    return Cursor("0000000a", 1_000 + number, 0)


def add(window: Window, number: int, *channels: str, size: int = 10) -> Slot:
    item = Item(f"item-{number}", "comment.created", "", channels, cursor(number), b"{}")
    slot = Slot(cursor(number), number, item, b"x" * size, counts={"seen": 1})
    window.add(slot)
    return slot


def add_gap(window: Window, number: int) -> Slot:
    gap = Slot(cursor(number), number, reset_of(cursor(number), "history", 7), counts={"resets": 1})
    window.add(gap)
    return gap


def test_items_of_different_channels_are_taken_side_by_side() -> None:
    window = Window()
    slots = [add(window, n, f"thread:{n}") for n in range(3)]
    assert [window.take(1, 0.0) for _ in range(4)] == [[slots[0]], [slots[1]], [slots[2]], []]


def test_an_item_waits_for_the_earlier_ones_of_each_of_its_channels() -> None:
    window = Window()
    first = add(window, 0, "thread:1")
    both = add(window, 1, "thread:1", "thread:2")
    last = add(window, 2, "thread:2")
    assert window.take(1, 0.0) == [first]
    assert window.take(1, 0.0) == []
    window.finish(first, "sent")
    assert window.take(1, 0.0) == [both]
    assert window.take(1, 0.0) == []
    window.finish(both, "sent")
    assert window.take(1, 0.0) == [last]


def test_without_order_nothing_waits() -> None:
    window = Window(in_order=False)
    slots = [add(window, n, "thread:1") for n in range(2)]
    assert [window.take(1, 0.0), window.take(1, 0.0)] == [[slots[0]], [slots[1]]]


def test_a_batch_holds_items_of_one_channel_in_their_order() -> None:
    window = Window()
    slots = [add(window, n, "thread:1") for n in range(5)]
    assert window.take(3, 0.0) == slots[:3]
    assert window.take(3, 0.0) == [], "the rest waits for the batch under way"


def test_a_batch_ends_at_its_bytes() -> None:
    window = Window()
    slots = [add(window, n, f"thread:{n}", size=BODY_BYTES // 2) for n in range(3)]
    assert window.take(100, 0.0) == slots[:2]


def test_an_item_to_be_sent_alone_shares_no_batch_and_keeps_its_place() -> None:
    window = Window()
    slots = [add(window, n, f"thread:{n % 2}") for n in range(4)]
    slots[1].alone = True
    assert window.take(100, 0.0) == [slots[0], slots[2]]
    assert window.take(100, 0.0) == [slots[1]]
    assert window.take(100, 0.0) == []


def test_an_item_that_waits_for_its_time_holds_up_its_channels_alone() -> None:
    window = Window()
    slots = [add(window, n, f"thread:{n % 2}") for n in range(4)]
    (first,) = window.take(1, 0.0)
    window.put_back(first, 10.0)
    assert window.next_at(0.0) == 10.0
    assert window.take(100, 9.0) == [slots[1], slots[3]]
    assert window.take(100, 10.0) == [slots[0], slots[2]]


def test_nothing_overtakes_a_gap_and_a_gap_overtakes_nothing() -> None:
    window = Window()
    before = add(window, 0, "thread:1")
    gap = add_gap(window, 1)
    after = add(window, 2, "thread:2")
    assert window.take(100, 0.0) == [before]
    assert window.take(100, 0.0) == []
    window.finish(before, "sent")
    assert window.take(100, 0.0) == [gap]
    assert window.take(100, 0.0) == []
    window.finish(gap, "")
    assert window.take(100, 0.0) == [after]


def test_the_position_moves_up_to_the_first_that_is_not_done() -> None:
    window = Window()
    slots = [add(window, n, f"thread:{n}") for n in range(4)]
    window.take(1, 0.0)
    taken = [window.take(1, 0.0)[0] for _ in range(2)]
    for slot in taken:
        window.finish(slot, "sent")
    assert window.settle().cursor is None, "the first one is under way"
    assert window.oldest_ms == cursor(0).ms
    window.finish(slots[0], "dead")
    slots[0].reason = "422 Unprocessable"
    settled = window.settle()
    assert (settled.cursor, settled.place) == (cursor(2), 2)
    assert settled.counts == {"seen": 3, "sent": 2, "dead": 1}
    assert [letter.cursor for letter in settled.letters] == [cursor(0)]
    assert len(window) == 1


def test_a_run_of_skipped_entries_takes_one_slot() -> None:
    window = Window()
    for n in range(5 * MOST_SLOTS):
        window.skip(cursor(n), n)
    assert len(window) == 1
    assert window.has_room
    settled = window.settle()
    assert settled.cursor == cursor(5 * MOST_SLOTS - 1)
    assert settled.counts == {"seen": 5 * MOST_SLOTS, "skipped": 5 * MOST_SLOTS}


def test_a_letter_sent_again_moves_no_position() -> None:
    window = Window()
    item = Item("item", "comment.created", "", ("thread:1",), cursor(0), b"{}")
    letter = Slot(None, None, item, b"frame", "77-0", {"again": -1})
    window.add(letter)
    assert window.take(1, 0.0) == [letter]
    window.finish(letter, "sent")
    settled = window.settle()
    assert settled.cursor is None
    assert settled.again == ["77-0"]
    assert settled.counts == {"again": -1, "sent": 1}


def test_a_full_window_takes_no_more() -> None:
    window = Window()
    for n in range(MOST_SLOTS):
        add(window, n, "thread:1")
    assert not window.has_room


def test_large_frames_fill_it_earlier_and_room_comes_back() -> None:
    window = Window()
    slots = [add(window, n, f"thread:{n}", size=256 * 1024) for n in range(64)]
    assert not window.has_room
    for outcome in ("sent", "dead"):
        (slot,) = window.take(1, 0.0)
        window.finish(slot, outcome)
        window.settle()
    assert window.has_room
    for slot in slots[2:]:
        assert window.take(1, 0.0) == [slot]
        window.finish(slot, "sent")
    window.settle()
    assert window._bytes == 0


@settings(max_examples=150, deadline=None)
@given(
    items=st.lists(st.sets(st.integers(0, 3), min_size=1, max_size=3), max_size=30),
    batch=st.sampled_from([1, 4]),
    seed=st.integers(0, 2**32),
)
def test_whatever_ends_when_each_channel_keeps_its_order_and_all_is_settled_once(
    items: list[set[int]], batch: int, seed: int
) -> None:
    chance = random.Random(seed)
    window = Window()
    slots = [add(window, n, *(f"c:{c}" for c in sorted(cs))) for n, cs in enumerate(items)]
    sent: list[int] = []
    under_way: list[list[Slot]] = []
    settled_to, seen, now = -1, 0, 0.0
    while any(slot.state is not State.DONE for slot in slots):
        now += 1.0
        if taken := window.take(batch, now):
            under_way.append(taken)
        elif not under_way:
            continue
        if under_way and (not taken or chance.random() < 0.5):
            ended = under_way.pop(chance.randrange(len(under_way)))
            for slot in ended:
                if chance.random() < 0.3:
                    # A batch fails as a whole; what is put back is behind nothing of its channels.
                    for again in ended[ended.index(slot) :]:
                        window.put_back(again, now + chance.randrange(1, 4))
                    break
                assert slot.place is not None
                sent.append(slot.place)
                window.finish(slot, "sent")
        settled = window.settle()
        seen += settled.counts["seen"]
        if settled.place is not None:
            assert settled.place > settled_to
            settled_to = settled.place
        assert all(slots[n].state is State.DONE for n in range(settled_to + 1))
    assert seen == len(items)
    assert sorted(sent) == list(range(len(items)))
    for channel in range(4):
        of_channel = [n for n in sent if channel in items[n]]
        assert of_channel == sorted(of_channel)
