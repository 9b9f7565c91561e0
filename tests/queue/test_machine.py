"""The job queue goes through random lives with its model; and a broken one is found out."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from pushgate import scripts
from tests.queue.conftest import QueueMaker, makers_of_queues
from tests.queue.machine import QueueMachine

pytestmark = pytest.mark.long

# The same lives in every run: what fails here fails again.
LIVES = settings(
    derandomize=True,
    max_examples=60,
    stateful_step_count=60,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


# Enough to find what is rare; most of what is broken below is found in the first few.
MORE_LIVES = settings(LIVES, max_examples=500, phases=[Phase.generate])


def live(make_queue: QueueMaker, lives: settings) -> None:
    """Lets queues live; the first step that breaks a promise raises."""

    class Machine(QueueMachine):
        def __init__(self) -> None:
            super().__init__(make_queue)

    run_state_machine_as_test(Machine, settings=lives)


def test_no_life_of_the_queue_breaks_its_promises(make_queue: QueueMaker) -> None:
    live(make_queue, LIVES)


# What is broken: the script, what it says, what it says then.
BROKEN = {
    "fencing": ("holds_lease", 'redis.call("GET", lease_key) == holder', "true"),
    "deletion": ("finish", 'call("XDEL", KEYS[1], entry_id) == 1', "true"),
    "order": (
        "claim",
        '"XRANGE", KEYS[1], "(" .. after, "+"',
        '"XREVRANGE", KEYS[1], "+", "(" .. after',
    ),
    "balanced books": ("finish", '"queued", -#ended', '"queued", -1'),
    "an origin": ("put", '"put", 1', '"put", 0'),
    "booked frames": ("finish", 'book_entries(KEYS[5], "frames")', "-- nothing is booked"),
    "booked tombstones": ("bury", 'book_entries(KEYS[6], "frames")', "-- nothing is booked"),
    "cancelled attempts": ("cancel", "attempts - 1", "attempts"),
    "attempts of an earlier holder": ("claim", "last_claimed) + 1", "last_claimed)"),
    "counted refusals": ("refuse", '"refused", 1', '"refused", 0'),
    "a window of puts": ("put", 'redis.call("EXISTS", KEYS[3]) == 1', "false"),
    "a limit": ("put", 'redis.call("XLEN", KEYS[1]) >= tonumber(ARGV[2])', "false"),
    "tidiness": ("bury", 'redis.call("HDEL", KEYS[3], partition', "tostring(partition"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_machine_catches_a_queue_without(
    what: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound, unsound = BROKEN[what]
    text_of = scripts.script_text.__wrapped__

    def broken_text(name: str) -> str:
        text = text_of(name)
        if name == broken:
            assert text.count(sound) == 1, f"{broken}.lua does not say {sound}"
            text = text.replace(sound, unsound)
        return text

    monkeypatch.setattr(scripts, "script_text", broken_text)
    with makers_of_queues(request, "redis") as make_queue, pytest.raises(AssertionError):
        live(make_queue, MORE_LIVES)
