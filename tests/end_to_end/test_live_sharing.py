"""Tabs around one connection, in a real Chromium, against a gateway under the test's control."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from stack.process import wait_until
from tests.end_to_end.conftest import DEADLINE_SECONDS, until
from tests.end_to_end.scripted_gateway import ScriptedGateway, Stream, cursor

pytestmark = [pytest.mark.real_browser, pytest.mark.long]

NEW_EPOCH = "89abcdef"

CONNECT = """async (options) => {
  const { connect } = await import("/live.js");
  Object.assign(window, { events: [], states: [], resets: [] });
  window.connection = connect({
    channels: ["thread:1"],
    types: ["comment.created"],
    onEvent: ({ data }) => events.push(data.text),
    onState: (state) => states.push(state),
    onReset: ({ reason }) => { resets.push(reason); },
    ...options,
  });
}"""

Open = Callable[..., Page]


@pytest.fixture
def tab(context: BrowserContext, gateway: ScriptedGateway) -> Open:
    """Opens a tab that connects with these options."""

    def open(position: int = 100, **options: Any) -> Page:
        page = context.new_page()
        page.goto(gateway.url)
        page.evaluate(CONNECT, {"cursor": cursor(position), **options})
        return page

    return open


def live(*pages: Page) -> None:
    for page in pages:
        until(page, "states.at(-1) === 'live'")


def has(page: Page, *texts: str) -> None:
    until(page, f"events.length >= {len(texts)}")
    assert page.evaluate("events") == list(texts)


def only_stream(gateway: ScriptedGateway) -> Stream:
    wait_until(lambda: len(gateway.open_streams()) == 1, DEADLINE_SECONDS, "one connection")
    return gateway.open_streams()[0]


@contextmanager
def standing_still(page: Page) -> Iterator[None]:
    """The page does nothing, as one that hangs or that the browser has frozen unannounced."""
    client = page.context.new_cdp_session(page)
    client.send("Debugger.enable")
    client.send("Debugger.pause")
    yield
    client.send("Debugger.disable")
    client.detach()


def test_tabs_share_one_connection_and_each_gets_an_event_once(
    tab: Open, gateway: ScriptedGateway
) -> None:
    tabs = [tab(), tab(), tab()]
    live(*tabs)
    stream = only_stream(gateway)
    stream.send(101, "one")
    stream.send(102, "two")
    for page in tabs:
        has(page, "one", "two")
    assert len(gateway.all_streams) == 1


def test_a_tab_whose_page_is_older_has_the_connection_begin_earlier(
    tab: Open, gateway: ScriptedGateway
) -> None:
    first = tab(100)
    live(first)
    gateway.stream().send(101, "one")
    has(first, "one")
    older = tab(90)
    again = gateway.stream()
    assert again.query == {"last_event_id": cursor(90)}
    for position, text in [(91, "zero"), (101, "one"), (102, "two")]:
        again.send(position, text)
    has(older, "zero", "one", "two")
    has(first, "one", "two")
    assert only_stream(gateway) is again
    assert first.evaluate("states") == ["catching up", "live"]


def test_a_further_channel_joins_the_one_connection(tab: Open, gateway: ScriptedGateway) -> None:
    first = tab(100)
    live(first)
    gateway.stream().send(103, "one")
    has(first, "one")
    second = tab(105, channels=["thread:2"], types=["comment.updated"])
    live(second)
    stream = only_stream(gateway)
    assert stream.channels == {"thread:1", "thread:2"}
    assert stream.query == {"last_event_id": cursor(103)}
    stream.send(106, "in two", channels=("thread:2",), type="comment.updated")
    stream.send(107, "of no interest", channels=("thread:2",), type="comment.created")
    stream.send(108, "in one", channels=("thread:1",))
    stream.send(109, "also in two", channels=("thread:1", "thread:2"), type="comment.updated")
    has(first, "one", "in one")
    has(second, "in two", "also in two")


def test_the_next_tab_takes_over_when_the_leading_one_closes(
    tab: Open, gateway: ScriptedGateway
) -> None:
    first, second, third = tab(), tab(), tab(channels=["thread:2"])
    live(first, second, third)
    stream = only_stream(gateway)
    stream.send(101, "one")
    has(second, "one")
    until(third, f"connection.cursor === '{cursor(101)}'")
    first.close()
    wait_until(lambda: not stream.is_open, DEADLINE_SECONDS, "the first one's is closed")
    again = only_stream(gateway)
    assert again.query == {"last_event_id": cursor(101)}
    assert again.channels == {"thread:1", "thread:2"}
    again.send(101, "one")
    again.send(102, "two")
    again.send(103, "three", channels=("thread:2",))
    has(second, "one", "two")
    has(third, "three")
    live(second, third)


def test_a_leader_that_is_told_of_its_freezing_hands_over(
    tab: Open, gateway: ScriptedGateway
) -> None:
    first, second = tab(), tab()
    live(first, second)
    gateway.stream().send(101, "one")
    has(first, "one")
    first.evaluate("document.dispatchEvent(new Event('freeze'))")
    again = gateway.stream()
    assert again.query == {"last_event_id": cursor(101)}
    again.send(102, "two")
    has(second, "one", "two")
    first.evaluate("document.dispatchEvent(new Event('resume'))")
    thawed = gateway.stream()
    assert thawed.query == {"last_event_id": cursor(101)}
    thawed.send(102, "two")
    thawed.send(103, "three")
    has(first, "one", "two", "three")
    has(second, "one", "two", "three")
    assert only_stream(gateway) is thawed


def test_a_leader_that_hangs_is_deposed_and_does_no_harm_when_it_is_back(
    tab: Open, gateway: ScriptedGateway
) -> None:
    first, second = tab(), tab()
    live(first, second)
    old = gateway.stream()
    old.send(101, "one")
    has(second, "one")
    with standing_still(first):
        new = gateway.stream()
        assert new.query == {"last_event_id": cursor(101)}
        new.send(102, "two")
        has(second, "one", "two")
        # The old leader will tell all tabs of these when it is back.
        for position, text in [(102, "two"), (103, "three"), (104, "four")]:
            old.send(position, text)
    wait_until(lambda: not old.is_open, DEADLINE_SECONDS, "the old connection is closed")
    # The one that is back may have the connection begun anew, from where it stands: as a gateway
    # does, each is told what came after that.
    told: list[Stream] = []

    def both_have_five() -> bool:
        for stream in gateway.open_streams():
            if stream not in told:
                told.append(stream)
                for position, text in [(102, "two"), (103, "three"), (104, "four"), (105, "five")]:
                    stream.send(position, text)
        return all(page.evaluate("events.length") >= 5 for page in (first, second))

    wait_until(both_have_five, DEADLINE_SECONDS, "both tabs have all events")
    has(first, "one", "two", "three", "four", "five")
    has(second, "one", "two", "three", "four", "five")
    live(first, second)


def test_a_tab_that_hangs_misses_nothing(tab: Open, gateway: ScriptedGateway) -> None:
    first, second = tab(), tab()
    live(first, second)
    stream = gateway.stream()
    with standing_still(second):
        stream.send(101, "one")
        has(first, "one")
    stream.send(102, "two")
    has(first, "one", "two")
    has(second, "one", "two")


def test_a_refused_channel_costs_only_the_tab_that_asked_for_it(
    tab: Open, gateway: ScriptedGateway
) -> None:
    gateway.refused_channels.add("user:9")
    first = tab()
    live(first)
    refused = tab(channels=["user:9"])
    # The first connection, the question whether its channel alone is refused, and the next one.
    wait_until(lambda: len(gateway.all_streams) == 3, DEADLINE_SECONDS, "connected again")
    assert only_stream(gateway).channels == {"thread:1"}
    gateway.refused_channels.clear()
    live(first, refused)
    assert {"user:9"} in [stream.channels for stream in gateway.open_streams()]


def test_channels_beyond_sixteen_take_a_connection_of_their_own(
    tab: Open, gateway: ScriptedGateway
) -> None:
    first = tab(channels=[f"thread:{n}" for n in range(1, 11)])
    live(first)
    second = tab(channels=[f"thread:{n}" for n in range(11, 21)])
    live(first, second)
    assert sorted(len(stream.channels) for stream in gateway.open_streams()) == [10, 10]
    for stream in gateway.open_streams():
        stream.send(101, "for ten", channels=("thread:10",))
        stream.send(102, "for twenty", channels=("thread:20",))
    has(first, "for ten")
    has(second, "for twenty")


def test_a_reset_is_for_those_who_missed_something(tab: Open, gateway: ScriptedGateway) -> None:
    first = tab(500)
    live(first)
    gateway.stream()
    sleeper = tab(100)
    long_ago = gateway.stream()
    assert long_ago.query == {"last_event_id": cursor(100)}
    long_ago.reset(600, "history")
    until(sleeper, "resets.length === 1")
    again = gateway.stream()
    assert again.query == {"last_event_id": cursor(500)}
    again.send(550, "still there")
    again.send(601, "new")
    has(first, "still there", "new")
    has(sleeper, "new")
    assert first.evaluate("resets") == []
    assert sleeper.evaluate("resets") == ["history"]
    live(first, sleeper)


def test_pages_of_two_epochs_come_together(tab: Open, gateway: ScriptedGateway) -> None:
    old = tab(900)
    live(old)
    gateway.stream()
    young = tab(cursor=cursor(50, NEW_EPOCH))
    assert gateway.stream().query == {"last_event_id": cursor(50, NEW_EPOCH)}
    live(young)
    asked = gateway.stream()
    assert asked.query == {"last_event_id": cursor(900)}
    asked.reset(60, "epoch", NEW_EPOCH)
    until(old, "resets.length === 1")
    last = gateway.stream()
    assert last.query == {"last_event_id": cursor(50, NEW_EPOCH)}
    last.send(55, "between", epoch=NEW_EPOCH)
    last.send(61, "after", epoch=NEW_EPOCH)
    has(young, "between", "after")
    has(old, "after")
    assert young.evaluate("resets") == []
    live(old, young)


def test_an_epoch_that_moves_resets_every_tab(tab: Open, gateway: ScriptedGateway) -> None:
    tabs = [tab(100), tab(101)]
    live(*tabs)
    stream = only_stream(gateway)
    stream.reset(7, "epoch", NEW_EPOCH)
    stream.send(8, "in the new one", epoch=NEW_EPOCH)
    for page in tabs:
        until(page, "resets.length === 1")
        has(page, "in the new one")
    assert len(gateway.all_streams) == 1


def test_a_page_without_a_cursor_shares_and_reads_its_data_anew(
    tab: Open, gateway: ScriptedGateway
) -> None:
    first = tab(100)
    live(first)
    second = tab(cursor="")
    live(second)
    assert second.evaluate("resets") == ["no cursor"]
    gateway.stream().send(101, "one")
    has(first, "one")
    has(second, "one")
    assert len(gateway.all_streams) == 1


def test_a_page_may_leave_the_stream_while_it_is_hidden(
    tab: Open, gateway: ScriptedGateway
) -> None:
    page = tab(pauseHidden=True)
    live(page)
    stream = gateway.stream()
    stream.send(101, "one")
    has(page, "one")
    look = """(hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(look, True)
    wait_until(lambda: not stream.is_open, DEADLINE_SECONDS, "the stream is closed")
    assert page.evaluate("states.at(-1)") == "stale"
    page.evaluate(look, False)
    again = gateway.stream()
    assert again.query == {"last_event_id": cursor(101)}
    live(page)


def test_a_page_that_is_put_away_and_back_goes_on(tab: Open, gateway: ScriptedGateway) -> None:
    first, second = tab(), tab()
    live(first, second)
    gateway.stream().send(101, "one")
    has(first, "one")
    first.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    again = gateway.stream()
    again.send(102, "two")
    has(second, "one", "two")
    locks = "navigator.locks.query().then(({ held, pending }) => [held.length, pending.length])"
    assert first.evaluate(locks) == [1, 0], "it holds no lock that keeps it out of the cache"
    first.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    back = gateway.stream()
    back.send(102, "two")
    has(first, "one", "two")


@pytest.mark.parametrize("missing", ["locks", "BroadcastChannel"])
def test_a_browser_that_cannot_share_connects_each_tab(
    context: BrowserContext, tab: Open, gateway: ScriptedGateway, missing: str
) -> None:
    without = {
        "locks": "Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })",
        "BroadcastChannel": "delete globalThis.BroadcastChannel",
    }
    context.add_init_script(without[missing])
    tabs = [tab(), tab()]
    live(*tabs)
    assert len(gateway.open_streams()) == 2


def test_a_browser_that_refuses_the_lock_connects_each_tab(
    context: BrowserContext, tab: Open, gateway: ScriptedGateway
) -> None:
    context.add_init_script(
        """LockManager.prototype.request = async () => {
             throw new DOMException("no", "SecurityError");
           };"""
    )
    tabs = [tab(), tab()]
    live(*tabs)
    assert len(gateway.open_streams()) == 2


def test_a_token_is_asked_for_anew_and_never_shared(tab: Open, gateway: ScriptedGateway) -> None:
    first = tab()
    live(first)
    gateway.stream()
    second = tab(token="t 1")
    live(second)
    assert gateway.stream().query == {"last_event_id": cursor(100), "token": "t 1"}
    assert len(gateway.open_streams()) == 2


def test_a_cookie_that_has_expired_is_renewed_and_the_tabs_stay_together(
    tab: Open, gateway: ScriptedGateway
) -> None:
    tabs = [tab(renew="/renew"), tab(renew="/renew")]
    live(*tabs)
    stream = only_stream(gateway)
    gateway.refusals.put(401)
    stream.end()
    wait_until(lambda: len(gateway.all_streams) == 2, DEADLINE_SECONDS, "connected again")
    assert gateway.asked_for.count("/renew") == 1
    only_stream(gateway).send(101, "for both")
    has(tabs[0], "for both")
    has(tabs[1], "for both")
    assert len(gateway.all_streams) == 2


def test_versions_that_begin_again_are_shown(tab: Open, gateway: ScriptedGateway) -> None:
    page = tab()
    live(page)
    stream = gateway.stream()
    stream.send(101, "old", 57, at="2030-01-01T12:00:00Z")
    stream.send(102, "late", 56, at="2030-01-01T12:00:01Z")
    stream.send(103, "of the new database", 2, at="2030-01-01T12:05:00.5Z")
    stream.send(104, "its next", 3, at="2030-01-01T12:05:01Z")
    has(page, "old", "of the new database", "its next")


def test_a_page_that_fails_to_show_one_event_gets_the_next(
    tab: Open, gateway: ScriptedGateway
) -> None:
    page = tab()
    live(page)
    page.evaluate("() => { events.push = () => { delete events.push; throw new Error('no'); }; }")
    stream = gateway.stream()
    stream.send(101, "one")
    stream.send(102, "two")
    has(page, "two")
