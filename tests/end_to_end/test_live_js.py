"""`live.js` in a real Chromium, against a gateway that says what the test wants it to say."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from example_site.threads.templatetags.comment_text import comment_text, hue, initial
from tests.end_to_end.conftest import until
from tests.end_to_end.scripted_gateway import ScriptedGateway, cursor

pytestmark = pytest.mark.real_browser

CURSOR = "0123abcd.100-0"

CONNECT = """async (cursor) => {
  const { connect } = await import("/live.js");
  Object.assign(window, { events: [], states: [], resets: [], mended: null });
  window.connection = connect({
    channels: ["thread:1"],
    cursor,
    types: ["comment.created"],
    onEvent: ({ data }) => events.push(data.text),
    onState: (state) => states.push(state),
    onReset: (what) => {
      resets.push(what.reason);
      return new Promise((resolve, reject) => { window.mended = { resolve, reject }; });
    },
  });
}"""


def test_it_connects_from_the_pages_cursor_and_is_live(
    page: Page, gateway: ScriptedGateway
) -> None:
    page.evaluate(CONNECT, CURSOR)
    assert gateway.stream().query == {"last_event_id": CURSOR}
    until(page, "states.at(-1) === 'live'")
    assert page.evaluate("states") == ["catching up", "live"]
    assert page.evaluate("resets") == []


def test_an_event_is_given_once_and_an_older_version_never(
    page: Page, gateway: ScriptedGateway
) -> None:
    page.evaluate(CONNECT, CURSOR)
    stream = gateway.stream()
    stream.send(101, "second", version=2)
    stream.send(102, "second again", version=2, event_id=f"{101:032x}")
    stream.send(103, "first, late", version=1)
    stream.send(104, "third", version=3)
    until(page, "events.at(-1) === 'third'")
    assert page.evaluate("events") == ["second", "third"]


def test_a_lost_connection_is_taken_up_where_it_ended(page: Page, gateway: ScriptedGateway) -> None:
    page.evaluate(CONNECT, CURSOR)
    stream = gateway.stream()
    stream.send(101, "one", version=1)
    until(page, "events.length === 1")
    stream.end()
    again = gateway.stream()
    assert again.last_event_id == "0123abcd.101-0"
    again.send(101, "one", version=1)
    again.send(102, "two", version=2)
    until(page, "events.length === 2 && states.at(-1) === 'live'")
    assert page.evaluate("events") == ["one", "two"]
    assert page.evaluate("states") == ["catching up", "live", "catching up", "live"]


def test_a_refusal_that_ends_eventsource_does_not_end_the_page(
    page: Page, gateway: ScriptedGateway
) -> None:
    page.evaluate(CONNECT, CURSOR)
    stream = gateway.stream()
    stream.send(101, "one", version=1)
    until(page, "events.length === 1")
    for _ in range(3):
        gateway.refusals.put(503)
    stream.end()
    again = gateway.stream()
    assert again.query == {"last_event_id": "0123abcd.101-0"}
    again.send(102, "two", version=2)
    until(page, "events.length === 2")


@pytest.mark.parametrize("reason", ["history", "deleted", "one of days to come"])
def test_events_wait_while_the_page_reads_its_data_anew(
    page: Page, gateway: ScriptedGateway, reason: str
) -> None:
    page.evaluate(CONNECT, CURSOR)
    stream = gateway.stream()
    stream.reset(200, reason)
    stream.send(201, "after the reset", version=9)
    until(page, "mended !== null")
    assert page.evaluate("resets") == [reason]
    assert page.evaluate("states.at(-1)") == "catching up"
    assert page.evaluate("events") == []
    page.evaluate("mended.resolve()")
    until(page, "states.at(-1) === 'live'")
    assert page.evaluate("events") == ["after the reset"]


def test_reading_anew_is_tried_again_when_it_fails(page: Page, gateway: ScriptedGateway) -> None:
    page.evaluate(CONNECT, CURSOR)
    gateway.stream().say('event: reset\ndata: {"reason": "epoch"}\n\n')
    until(page, "resets.length === 1")
    page.evaluate("mended.reject(new Error('the site is away'))")
    until(page, "resets.length === 2")
    page.evaluate("mended.resolve()")
    until(page, "states.at(-1) === 'live'")


def test_a_gap_while_the_page_reads_anew_has_it_read_once_more(
    page: Page, gateway: ScriptedGateway
) -> None:
    page.evaluate(CONNECT, CURSOR)
    stream = gateway.stream()
    stream.reset(200, "history")
    stream.send(201, "known by then", version=1)
    until(page, "mended !== null")
    stream.reset(300, "history")
    stream.send(301, "after both", version=2)
    until(page, f"connection.cursor === '{cursor(301)}'")
    assert page.evaluate("resets.length") == 1
    page.evaluate("mended.resolve()")
    until(page, "resets.length === 2")
    assert page.evaluate("events") == []
    page.evaluate("mended.resolve()")
    until(page, "states.at(-1) === 'live'")
    assert page.evaluate("events") == ["after both"]


def test_a_page_without_a_cursor_reads_its_data_anew(page: Page, gateway: ScriptedGateway) -> None:
    page.evaluate(CONNECT, "")
    assert gateway.stream().query == {}
    until(page, "resets.length === 1")
    page.evaluate("mended.resolve()")
    until(page, "states.at(-1) === 'live'")


def test_a_page_says_so_when_the_network_is_gone(page: Page, gateway: ScriptedGateway) -> None:
    page.evaluate(CONNECT, CURSOR)
    gateway.stream()
    until(page, "states.at(-1) === 'live'")
    page.context.set_offline(True)
    until(page, "states.at(-1) === 'stale'")
    page.context.set_offline(False)
    gateway.stream()
    until(page, "states.at(-1) === 'live'")


def test_a_closed_connection_stays_closed(page: Page, gateway: ScriptedGateway) -> None:
    page.evaluate(CONNECT, CURSOR)
    stream = gateway.stream()
    until(page, "states.at(-1) === 'live'")
    page.evaluate("connection.close()")
    stream.end()
    page.evaluate("dispatchEvent(new Event('online'))")
    page.evaluate("fetch('/').then((answer) => answer.text())")
    assert gateway.streams.empty()


TEXTS = [
    "one",
    "one\ntwo",
    "one\n\n  two\n \n\n\nthree ",
    "<img src=x onerror=alert(1)> & \"quotes\" 'too' &amp;",
    "see https://example.org/a_(b)?c=1&d=2#e, and HTTP://EXAMPLE.ORG/.",
    "http://a.example http://b.example\nhttps://c.example!",
    "javascript:alert(1) https:// https://.",
    "emoji 😀 https://example.org/😀/x\u00a0y",
]


def test_the_browser_shows_a_text_as_the_server_does(page: Page) -> None:
    for text in TEXTS:
        shown, read_back = page.evaluate(
            """async ([text, html]) => {
              const { commentText, plainText } = await import("/comment_text.js");
              const [ours, theirs] = [document.createElement("div"), document.createElement("div")];
              ours.append(commentText(text));
              theirs.innerHTML = html;
              return [[ours.innerHTML, theirs.innerHTML], plainText(theirs)];
            }""",
            [text, comment_text(text)],
        )
        assert shown[0] == shown[1]
        assert comment_text(read_back) == comment_text(text), "editing begins from the same text"


def test_the_browser_gives_a_person_the_servers_letter_and_colour(page: Page) -> None:
    for name in ["Ada", "émile zola", "(Gregor)", "Øystein", "😀 joy", "…", "李雷", "7 of 9"]:
        found = page.evaluate(
            """async (name) => {
              const { hue, initial } = await import("/comment_text.js");
              return [initial(name), hue(name)];
            }""",
            name,
        )
        assert found == [initial(name), hue(name)]
