"""A seat at a shared connection: it takes a frame only if nothing lies between."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.end_to_end.scripted_gateway import cursor

pytestmark = pytest.mark.real_browser

OTHER_EPOCH = "89abcdef"

# Returns what the seat answered to each message, what it told, and its cursor afterwards.
SIT = """async ([start, messages]) => {
  const { Seat } = await import("/live/seat.js");
  const told = [];
  const seat = new Seat({
    cursor: start,
    channels: ["thread:1"],
    types: ["comment.created"],
    on: {
      live: () => told.push("live"),
      lost: () => told.push("lost"),
      frame: ({ data }) => told.push(data.text),
      reset: ({ reason }) => told.push(`reset: ${reason}`),
    },
  });
  return [messages.map((message) => seat.hear(message)), told, seat.cursor];
}"""


def session(position: int | str, **changes: object) -> dict[str, object]:
    return {
        "kind": "session",
        "id": "s1",
        "channels": ["thread:1", "thread:2"],
        "types": ["comment.created"],
        "position": cursor(position) if isinstance(position, int) else position,
        "open": True,
        "opens": 1,
        **changes,
    }


def frame(before: int, position: int, text: str = "", **changes: object) -> dict[str, object]:
    data = {"text": text or f"frame {position}", "channels": ["thread:1"]}
    return {
        "kind": "frame",
        "session": "s1",
        "from": cursor(before),
        "id": cursor(position),
        "type": "comment.created",
        "data": json.dumps(data),
        **changes,
    }


def reset(before: str, position: str) -> dict[str, object]:
    return {
        "kind": "reset",
        "session": "s1",
        "from": before,
        "cursor": position,
        "reason": "history",
    }


def sit(page: Page, start: str, *messages: dict[str, object]) -> tuple[list[bool], list[str], str]:
    answers, told, stands_at = page.evaluate(SIT, [start, list(messages)])
    return answers, told, stands_at


def test_frames_without_a_gap_are_taken_once(page: Page) -> None:
    heard = [session(100), frame(100, 101), frame(90, 101), frame(101, 105), frame(104, 106)]
    assert sit(page, cursor(100), *heard) == (
        [True] * 5,
        ["live", "frame 101", "frame 105", "frame 106"],
        cursor(106),
    )


def test_behind_a_gap_nothing_is_taken_and_a_better_session_is_asked_for(page: Page) -> None:
    heard = [session(100), frame(102, 103), frame(103, 104)]
    assert sit(page, cursor(100), *heard) == ([True, False, True], ["live", "lost"], cursor(100))


def test_what_another_session_brings_is_left_alone(page: Page) -> None:
    lost: dict[str, object] = {"kind": "lost", "session": "s2"}
    heard = [session(100), frame(100, 101, session="s2"), lost]
    assert sit(page, cursor(100), *heard) == ([True] * 3, ["live"], cursor(100))


@pytest.mark.parametrize(
    "change",
    [
        {"channels": ["thread:2"]},
        {"types": ["comment.deleted"]},
        {"position": cursor(101)},
        {"position": cursor(99, OTHER_EPOCH)},
        {"position": ""},
    ],
)
def test_a_session_that_does_not_serve_it_is_refused(page: Page, change: dict[str, Any]) -> None:
    heard = [{**session(100), **change}, frame(100, 102)]
    assert sit(page, cursor(100), *heard) == ([False, True], ["lost"], cursor(100))


@pytest.mark.parametrize(
    ("before", "now", "answer", "told", "stands_at"),
    [
        (cursor(100), cursor(500), True, ["live", "reset: history"], cursor(500)),
        (cursor(90), cursor(95), True, ["live"], cursor(100)),
        (cursor(90), cursor(500), False, ["live", "lost"], cursor(100)),
        (
            *(cursor(90), cursor(7, OTHER_EPOCH), True),
            *(["live", "reset: history"], cursor(7, OTHER_EPOCH)),
        ),
        ("garbage", cursor(500), False, ["live", "lost"], cursor(100)),
    ],
)
def test_a_reset_is_for_whom_it_concerns(
    page: Page, before: str, now: str, answer: bool, told: list[str], stands_at: str
) -> None:
    heard = [session(90), reset(before, now)]
    assert sit(page, cursor(100), *heard) == ([True, answer], told, stands_at)


def test_a_garbled_cursor_is_served_by_its_own_session_and_reset(page: Page) -> None:
    heard = [session("garbage"), reset("garbage", cursor(500))]
    assert sit(page, "garbage", *heard) == ([True, True], ["live", "reset: history"], cursor(500))


def test_without_a_cursor_it_reads_anew_once_for_each_time_the_session_opens(page: Page) -> None:
    heard = [session("", open=False, opens=0), session(""), session(""), session("", opens=2)]
    blank = "reset: no cursor"
    assert sit(page, "", *heard) == ([True] * 4, [blank, "live", "live", blank, "live"], "")
    first = frame(0, 101, **{"from": ""})
    assert sit(page, "", session(""), first)[1:] == ([blank, "live", "frame 101"], cursor(101))


def gone(before: int, position: int, **changes: object) -> dict[str, object]:
    data = {"type": "comment.created", "channels": ["thread:1"], **changes}
    return frame(before, position, type="gone", data=json.dumps(data))


def test_a_tombstone_has_the_page_read_anew_if_it_shows_such_events(page: Page) -> None:
    heard = [
        session(100),
        gone(100, 101, type="forum.created"),
        gone(101, 102, channels=["thread:2"]),
        gone(102, 103),
        frame(103, 104),
    ]
    assert sit(page, cursor(100), *heard) == (
        [True] * 5,
        ["live", "reset: gone", "frame 104"],
        cursor(104),
    )
