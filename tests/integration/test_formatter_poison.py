"""Events that harm whoever works on them: each ends in the dead letters, alone, and a tombstone
stands in its place; all others go on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from formatter.partition import MOST_ATTEMPTS
from pushgate import Event, tombstone_of
from stack.process import wait_until
from tests.integration.formatter_site import (
    Site,
    channel_in,
    each_once_in_order,
    numbered,
    numbers_by_channel,
    site,
)
from tests.integration.hasty_formatter import HASTY
from tests.integration.unhurried_formatter import UNHURRIED

pytestmark = [pytest.mark.real_redis, pytest.mark.long]
__all__ = ["site"]

POISON = "tests.integration.poison_pipelines"
DEADLINE_SECONDS = 150

MEMORY_BYTES = 1500 * 1024**2

EACH = 5
"""Healthy events of a key on either side of the poison."""

HARMLESS_TO_THE_WORKER = {
    "stage.exception": "ValueError: this comment cannot be shown",
    "stage.needs_two_arguments": "NeedsTwo: this comment cannot be shown",
    "stage.carries_a_function": "ValueError: <function",
    "stage.unprintable": "Unprintable",
    "stage.half_a_character": r"ValueError: it says \\ud83d",
    "stage.long_story": "ValueError: xxxx",
    "stage.circle": "InvalidEvent: data is not JSON",
    "stage.deep": "InvalidEvent: data is not JSON|RecursionError",
    "stage.recursion": "RecursionError",
    "stage.flood": "FrameTooLarge",
    "frames.flood_of_large_frames": "FrameTooLarge: .* bytes of frames",
    "frames.flood_of_frames": "InvalidFrames: .* 499 frames",
    "frames.flood_by_hand": "FrameTooLarge",
    "frames.no_frames": "InvalidFrames: .* not list",
    "frames.text_for_bytes": "InvalidFrames",
    "frames.strange_channel": "InvalidChannel",
    "frames.generator": "InvalidFrames: .* not generator",
    "frames.nothing": "InvalidFrames: .* not NoneType",
    "stage.nothing": "AttributeError",
    "stage.sys_exit": "StageExited: .*SystemExit: 0",
    "stage.keyboard_interrupt": "StageExited: .*KeyboardInterrupt",
    "stage.greenlet_exit": "StageExited: .*GreenletExit",
    "stage.cancelled": "StageExited: .*CancelledError",
    "stage.timeout": "5 attempts: .*Timeout: 0.01",
    "stage.unprintable_for_now": "5 attempts: UnprintableForNow",
    "impatient.patient": "5 attempts: .* more than 0.3 s",
    "gone.exception": "ValueError: this comment cannot be shown",
    "gone.no_frames": "ValueError: this comment cannot be shown",
    "gone.sys_exit": "ValueError: this comment cannot be shown",
    "gone.patient": "ValueError: this comment cannot be shown",
}
"""Which pipeline is poisoned with what -> the reason that the dead letter gives."""

IN_A_HEAVY_STAGE = {
    "heavy.exception": "ValueError: this comment cannot be shown",
    "heavy.needs_two_arguments": "RuntimeError: NeedsTwo: this comment cannot be shown",
    "heavy.carries_a_function": "RuntimeError: ValueError: <function",
    "heavy.flood": "ResultTooLarge: heavy stages process .* a result of 100000",
    "impatient_heavy.endless_loop": "5 attempts: DeadlineExceeded: heavy .* no answer in time",
    "heavy.segfault": "5 attempts: ProcessDied: heavy stages process .* signal SIGSEGV",
    "heavy.leave": "5 attempts: ProcessDied: heavy stages process .* exit status 0",
    "heavy.sys_exit": "5 attempts: ProcessDied: heavy stages process .* exit status 0",
    "heavy.unprintable": "Unprintable",
}

WITHOUT_TOMBSTONE = {"gone.exception", "gone.no_frames", "gone.sys_exit", "gone.patient"}


def poison(number: int, name: str, channel: str) -> Event:
    """The event `stage.endless_loop` say."""
    kind, _, what = name.partition(".")
    return Event(f"{kind}.now", (channel,), {"number": number, "poison": what})


def around(event: Event) -> list[Event]:
    """The event with healthy ones of its key and pipeline on both sides."""
    healthy = [Event(event.type, event.channels, {"number": n}) for n in range(2 * EACH)]
    return [*healthy[:EACH], event, *healthy[EACH:]]


def reasons(site: Site, most_attempts: int = MOST_ATTEMPTS) -> dict[str, str]:
    """Poison's name -> why it is among the dead letters, after so many attempts at the most."""
    found = {}
    for letter in site.dead_letters():
        event = Event.from_json(letter[b"event"])
        assert "poison" in event.data, f"an innocent was buried: {letter[b'reason']!r}"
        assert 1 <= int(letter[b"attempts"]) <= most_attempts
        name = f"{event.type.partition('.')[0]}.{event.data['poison']}"
        found[name] = letter[b"reason"].decode()
    return found


def assert_reasons(site: Site, expected: Mapping[str, str]) -> None:
    """All that is dead is so for the reason given as a regular expression."""
    found = reasons(site)
    assert found.keys() == expected.keys()
    wrong = {name: why for name, why in found.items() if not re.match(expected[name], why)}
    assert wrong == {}


def wait_until_done(site: Site) -> None:
    """Waits until the queue is empty; workers that die meanwhile are started again."""

    def done() -> bool:
        site.keep_running()
        return site.ledger().queued == 0

    wait_until(done, DEADLINE_SECONDS, "the queue is empty")
    assert site.ledger().balances
    assert site.client.hlen(site.keys.attempts) == 0


def assert_stands_in_its_place(site: Site, event: Event) -> None:
    """The key's frames: the healthy before, the tombstone, the healthy after."""
    told = [entry.frame for entry in site.frames() if event.channels[0] in entry.channels]
    assert told[EACH] == tombstone_of(event).data
    assert len(told) == 2 * EACH + 1


def test_poison_that_leaves_the_worker_alive_is_buried_alone(site: Site) -> None:
    """All kinds at once, each in a key of its own; the worker lives through all of it."""
    dose = [
        poison(99, name, f"poisoned:{place}") for place, name in enumerate(HARMLESS_TO_THE_WORKER)
    ]
    for event in dose:
        site.put(*around(event))
    site.put(*numbered(range(40), keys=8))
    site.start_worker(module=UNHURRIED, pipelines=POISON)
    wait_until_done(site)
    assert site.restarts == 0
    assert_reasons(site, HARMLESS_TO_THE_WORKER)
    assert numbers_by_channel(site.frames()) == {
        **{event.channels[0]: list(range(2 * EACH)) for event in dose},
        **each_once_in_order(40, 8),
    }
    for event, name in zip(dose, HARMLESS_TO_THE_WORKER, strict=True):
        if name not in WITHOUT_TOMBSTONE:
            assert_stands_in_its_place(site, event)
    site.put(*numbered(range(40, 80), keys=8))
    site.wait_until_done()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stage.endless_loop", "ProcessEnded: sandbox process .* signal SIGXCPU"),
        ("stage.regular_expression", "ProcessEnded: sandbox process .* signal SIGXCPU"),
        ("impatient.deaf_wait", "ProcessEnded: sandbox process .* no answer in time"),
        ("impatient.stubborn", "ProcessEnded: sandbox process .* no answer in time"),
        ("stage.segfault", "ProcessEnded: sandbox process .* signal SIGSEGV"),
        ("stage.leave", "ProcessEnded: sandbox process .* exit status 0"),
        ("stage.killed", "ProcessEnded: sandbox process .* signal SIGKILL"),
    ],
)
def test_poison_that_ends_the_worker_is_buried_at_the_third_attempt(
    site: Site, name: str, reason: str
) -> None:
    event = poison(99, name, "poisoned:0")
    site.put(*around(event))
    site.put(*numbered(range(40), keys=8))
    site.start_worker(module=HASTY, pipelines=POISON)
    wait_until_done(site)
    assert site.restarts == 2
    (letter,) = site.dead_letters()
    assert letter[b"attempts"] == b"3"
    assert re.match(reason, reasons(site)[name])
    assert_stands_in_its_place(site, event)
    assert numbers_by_channel(site.frames()) == {
        "poisoned:0": list(range(2 * EACH)),
        **each_once_in_order(40, 8),
    }


def test_a_hunger_for_memory_is_buried_where_memory_is_limited(site: Site) -> None:
    event = poison(99, "stage.memory", "poisoned:0")
    site.put(*around(event), *numbered(range(40), keys=8))
    site.start_worker(pipelines=POISON, runner=["prlimit", f"--as={MEMORY_BYTES}"])
    wait_until_done(site)
    assert "MemoryError" in reasons(site)["stage.memory"]
    assert_stands_in_its_place(site, event)
    assert site.ledger().published == 40 + 2 * EACH


def test_poison_in_a_heavy_stage_ends_processes_of_the_pool_alone(site: Site) -> None:
    dose = [poison(99, name, f"poisoned:{place}") for place, name in enumerate(IN_A_HEAVY_STAGE)]
    for event in dose:
        site.put(*around(event))
    site.put(*numbered(range(40), keys=8))
    site.start_worker(module=UNHURRIED, pipelines=POISON)
    wait_until_done(site)
    assert site.restarts == 0
    assert_reasons(site, IN_A_HEAVY_STAGE)
    for event in dose:
        assert_stands_in_its_place(site, event)
    assert numbers_by_channel(site.frames()) == {
        **{event.channels[0]: list(range(2 * EACH)) for event in dose},
        **each_once_in_order(40, 8),
    }


@pytest.mark.parametrize(
    "name",
    ["group.exception", "group.segfault", "collapse.exception", "collapse.patient"]
    + ["collapse.segfault", "collapse.greenlet_exit"],
)
def test_poison_among_events_that_go_as_one_is_buried_alone(site: Site, name: str) -> None:
    event = poison(99, name, "poisoned:0")
    site.put(*around(event), *numbered(range(40), keys=8))
    site.start_worker(module=HASTY, pipelines=POISON)
    wait_until_done(site)
    assert site.restarts == (2 if "segfault" in name else 0)
    assert list(reasons(site)) == [name]
    told = numbers_by_channel(site.frames())
    alone = told.pop("poisoned:0")
    assert alone == sorted(alone)
    assert told == each_once_in_order(40, 8)
    ledger = site.ledger()
    assert (ledger.dead, ledger.published) == (1, 40 + len(alone))
    assert ledger.suppressed == 2 * EACH - len(alone)
    tombstone = tombstone_of(event).data
    (place,) = (n for n, entry in enumerate(site.frames()) if entry.frame == tombstone)
    before = numbers_by_channel(site.frames()[:place]).get("poisoned:0", [])
    assert before == [number for number in alone if number < EACH]


@pytest.mark.parametrize(
    "name", ["gather.exception", "gather.patient", "gather.segfault", "joins.exception"]
)
def test_an_event_of_which_nobody_knows_with_whom_it_goes_goes_alone(site: Site, name: str) -> None:
    site.put(*around(poison(99, name, "poisoned:0")), *numbered(range(40), keys=8))
    site.start_worker(module=HASTY, pipelines=POISON)
    wait_until_done(site)
    assert site.restarts == (2 if "segfault" in name else 0)
    assert reasons(site) == {}
    after = range(EACH, 2 * EACH)
    assert numbers_by_channel(site.frames()) == {
        "poisoned:0": [*range(EACH), 99, *(after[-1:] if "joins" in name else after)],
        **each_once_in_order(40, 8),
    }


def test_a_tombstone_that_ends_the_worker_is_left_out(site: Site) -> None:
    site.put(*around(poison(99, "gone.segfault", "poisoned:0")), *numbered(range(40), keys=8))
    site.start_worker(module=HASTY, pipelines=POISON)
    wait_until_done(site)
    assert site.restarts == 2
    assert reasons(site) == {"gone.segfault": "ValueError: this comment cannot be shown"}
    assert numbers_by_channel(site.frames()) == {
        "poisoned:0": list(range(2 * EACH)),
        **each_once_in_order(40, 8),
    }


def test_poisons_in_all_partitions_of_two_processes_hold_up_nobody_for_long(site: Site) -> None:
    """The formatter as it is, with its own times."""
    names = ["stage.endless_loop", "stage.segfault", "stage.leave", "stage.killed"]
    dose = [
        poison(99, name, channel_in(partition, "poisoned")) for partition, name in enumerate(names)
    ]
    site.start_worker("--processes", "2", pipelines=POISON)
    site.wait_until(lambda: sorted(site.holders().values()) == [2, 2], "two processes share")
    for event in dose:
        site.put(*around(event))
    put = 0

    def done() -> bool:
        """Goes on telling of healthy events."""
        nonlocal put
        site.put(*numbered(range(put, put + 8), keys=8))
        put += 8
        return len(site.dead_letters()) == len(dose)

    wait_until(done, DEADLINE_SECONDS, "all poisons are buried", every_seconds=0.1)
    wait_until_done(site)
    assert site.restarts == 0
    # Each ends two workers, and all jobs in a dead worker's hands count one attempt more.
    most_attempts = 2 * len(names) + MOST_ATTEMPTS
    assert reasons(site, most_attempts).keys() == set(names)
    for event in dose:
        assert_stands_in_its_place(site, event)
    assert numbers_by_channel(site.frames()) == {
        **{event.channels[0]: list(range(2 * EACH)) for event in dose},
        **each_once_in_order(put, 8),
    }
