"""Receipts of `live.js` in a real Chromium: what a page says became of the frames it was sent."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.end_to_end.conftest import DEADLINE_SECONDS, until
from tests.end_to_end.scripted_gateway import ScriptedGateway, Sent, Stream, cursor

pytestmark = pytest.mark.real_browser

CONNECT = """async (options) => {
  const { connect } = await import("/live.js");
  Object.assign(window, { events: [], states: [], resets: [], mended: null });
  window.connection = connect({
    channels: ["thread:1"],
    types: ["comment.created", "comment.updated"],
    receipts: 1,
    onEvent: ({ data }) => {
      events.push(data.text);
      if (data.text === "fails") throw new Error("a page's own");
      if (data.text === "rejects") return Promise.reject(new Error("a page's own"));
      if (data.text === "takes its time") return new Promise((done) => { window.show = done; });
    },
    onState: (state) => states.push(state),
    onReset: ({ reason }) => {
      resets.push(reason);
      return new Promise((resolve) => { window.mended = resolve; });
    },
    ...options,
  });
}"""
LOOK = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
# What is shown now has been painted when this is done.
PAINTED = """() => new Promise((done) => requestAnimationFrame(() => setTimeout(
  () => requestAnimationFrame(() => setTimeout(done)))))"""


def connected(page: Page, gateway: ScriptedGateway, **options: Any) -> Stream:
    """The stream of a page that promises receipts and is live."""
    page.evaluate(CONNECT, {"cursor": cursor(100), **options})
    stream = gateway.stream()
    until(page, "states.at(-1) === 'live'")
    return stream


def has(page: Page, *texts: str) -> None:
    until(page, f"events.length >= {len(texts)}")
    assert page.evaluate("events") == list(texts)


def sent(gateway: ScriptedGateway) -> Sent:
    return gateway.receipts.get(timeout=DEADLINE_SECONDS)


def turned_away(page: Page, gateway: ScriptedGateway) -> Counter[str]:
    """What the page sends when its reader looks elsewhere: how many receipts of which outcome."""
    page.evaluate(LOOK, True)
    found: Counter[str] = Counter()
    for outcome, _, *rest in sent(gateway).lines:
        found[outcome] += 1 if outcome == "painted" else int(rest[0])
    return found


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())


def test_without_the_option_nothing_is_promised_and_nothing_sent(
    page: Page, gateway: ScriptedGateway
) -> None:
    stream = connected(page, gateway, receipts=0)
    assert stream.query == {"last_event_id": cursor(100)}
    stream.send(101, "one", at=now())
    has(page, "one")
    page.evaluate(PAINTED)
    page.evaluate(LOOK, True)
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    page.evaluate("fetch('/').then((answer) => answer.text())")
    assert gateway.receipts.empty()


def test_a_share_beyond_one_is_told(page: Page) -> None:
    with pytest.raises(Exception, match="receipts: 2; use a share from 0 to 1"):
        page.evaluate(CONNECT, {"receipts": 2})


def test_a_painted_frame_is_told_with_its_times(page: Page, gateway: ScriptedGateway) -> None:
    stream = connected(page, gateway)
    assert stream.query["receipts"] == "comment.created comment.updated"
    at = now()
    stream.send(101, "one", at=at, channels=("thread:1", "forum:7"))
    has(page, "one")
    page.evaluate(PAINTED)
    page.evaluate(LOOK, True)
    delivered, painted = sent(gateway).lines
    assert delivered == ["delivered", "thread", "1"]
    assert painted[:2] == ["painted", "thread"]
    at_ms, ago, since_open = map(int, painted[2:])
    assert at_ms == page.evaluate("(at) => Date.parse(at)", at)
    assert 0 <= ago <= since_open < DEADLINE_SECONDS * 1000


def test_receipts_bring_no_cookie_and_not_the_pages_address(
    page: Page, gateway: ScriptedGateway
) -> None:
    page.evaluate("document.cookie = 'session=secret'")
    stream = connected(page, gateway)
    stream.send(101, "one", at=now())
    has(page, "one")
    page.evaluate(LOOK, True)
    request = sent(gateway)
    assert not {"Cookie", "Referer"} & set(request.headers)
    assert request.headers["Content-Type"].startswith("text/plain")
    assert request.headers["Origin"] == gateway.url
    assert f"{101:032x}" not in request.text


def test_a_frame_that_the_page_could_not_show_is_not_told_as_painted(
    page: Page, gateway: ScriptedGateway
) -> None:
    stream = connected(page, gateway)
    for position, text in [(101, "fails"), (102, "rejects"), (103, "one"), (104, "takes its time")]:
        stream.send(position, text, number=position, at=now())
    has(page, "fails", "rejects", "one", "takes its time")
    page.evaluate(PAINTED)
    assert turned_away(page, gateway) == {"delivered": 4, "failed": 2, "painted": 1}
    page.evaluate(LOOK, False)
    page.evaluate("show()")
    page.evaluate(PAINTED)
    assert turned_away(page, gateway) == {"painted": 1}


def test_a_hidden_page_paints_nothing(page: Page, gateway: ScriptedGateway) -> None:
    stream = connected(page, gateway)
    page.evaluate(LOOK, True)
    stream.send(101, "one", at=now())
    has(page, "one")
    assert turned_away(page, gateway) == {"delivered": 1, "hidden": 1}


def test_a_page_that_is_left_before_it_painted_has_painted_nothing(
    page: Page, gateway: ScriptedGateway
) -> None:
    page.evaluate("() => { window.requestAnimationFrame = () => 0; }")
    stream = connected(page, gateway)
    stream.send(101, "one", at=now())
    has(page, "one")
    assert turned_away(page, gateway) == {"delivered": 1, "hidden": 1}


def test_what_the_page_had_is_known(page: Page, gateway: ScriptedGateway) -> None:
    stream = connected(page, gateway)
    stream.send(101, "newer", version=2, at=now())
    stream.send(102, "older", version=1, at=now())
    until(page, f"connection.cursor === '{cursor(102)}'")
    page.evaluate(PAINTED)
    assert turned_away(page, gateway) == {"delivered": 2, "painted": 1, "known": 1}


def test_what_waited_for_a_page_that_reads_anew_twice_is_known(
    page: Page, gateway: ScriptedGateway
) -> None:
    stream = connected(page, gateway)
    stream.reset(200, "history")
    stream.send(201, "known by then", version=1, at=now())
    until(page, f"mended && connection.cursor === '{cursor(201)}'")
    stream.reset(300, "history")
    stream.send(301, "after both", version=2, at=now())
    until(page, f"connection.cursor === '{cursor(301)}'")
    page.evaluate("mended()")
    until(page, "resets.length === 2")
    page.evaluate("mended()")
    has(page, "after both")
    page.evaluate(PAINTED)
    assert turned_away(page, gateway) == {"delivered": 2, "painted": 1, "known": 1}


def test_what_is_no_event_of_the_page_has_no_receipt(page: Page, gateway: ScriptedGateway) -> None:
    stream = connected(page, gateway)
    stream.send(101, "", type="gone", at=now())
    stream.send(102, "", type="comment.deleted", at=now())
    stream.send(103, "one", at="", channels=("nocolon",))
    until(page, f"connection.cursor === '{cursor(103)}'")
    page.evaluate(LOOK, True)
    assert sent(gateway).lines == [["delivered", "other", "1"]]


def test_a_frame_without_a_time_is_told_untimed(page: Page, gateway: ScriptedGateway) -> None:
    stream = connected(page, gateway)
    stream.send(101, "one", at="")
    has(page, "one")
    page.evaluate(PAINTED)
    assert turned_away(page, gateway) == {"delivered": 1, "untimed": 1}


def test_a_page_that_is_closed_sends_what_it_has(page: Page, gateway: ScriptedGateway) -> None:
    stream = connected(page, gateway)
    stream.send(101, "one", at=now())
    has(page, "one")
    page.evaluate(PAINTED)
    page.close(run_before_unload=False)
    assert [line[0] for line in sent(gateway).lines] == ["delivered", "painted"]


def test_a_page_that_goes_elsewhere_sends_what_it_has(page: Page, gateway: ScriptedGateway) -> None:
    stream = connected(page, gateway)
    stream.send(101, "one", at=now())
    has(page, "one")
    page.evaluate(PAINTED)
    page.goto(gateway.url + "/elsewhere")
    assert [line[0] for line in sent(gateway).lines] == ["delivered", "painted"]


def test_a_batch_is_one_request_of_few_bytes_however_many_frames_come(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    page = context.new_page()
    page.clock.install()
    page.goto(gateway.url)
    stream = connected(page, gateway)
    # From here on the page's time stands still until the test moves it.
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)
    many = 1500
    for number in range(many):
        stream.send(
            101 + number,
            str(number),
            number=number,
            at=now(),
            channels=(f"a-rather-long-prefix{number % 40:020d}:1", "thread:1"),
        )
    until(page, f"events.length === {many}")
    page.clock.run_for(4999)
    page.evaluate("fetch('/').then((answer) => answer.text())")
    assert gateway.receipts.empty()
    page.clock.run_for(5002)
    batch = sent(gateway)
    assert len(batch.text) < 16 * 1024
    outcomes: Counter[str] = Counter()
    for outcome, _, *rest in batch.lines:
        outcomes[outcome] += 1 if outcome == "painted" else int(rest[0])
    assert outcomes == {"delivered": many, "painted": 100, "untimed": many - 100}
    assert len({line[1] for line in batch.lines}) == 21
    page.clock.run_for(60_000)
    page.evaluate("fetch('/').then((answer) => answer.text())")
    assert gateway.receipts.empty()


def test_a_gateway_that_takes_no_receipts_does_not_disturb_the_page(
    page: Page, gateway: ScriptedGateway
) -> None:
    page.evaluate("() => { window.fetch = () => Promise.reject(new Error('away')); }")
    page.evaluate("addEventListener('unhandledrejection', () => events.push('unhandled'))")
    stream = connected(page, gateway)
    stream.send(101, "one", at=now())
    has(page, "one")
    page.evaluate(LOOK, True)
    page.evaluate(PAINTED)
    stream.send(102, "two", at=now(), number=2)
    has(page, "one", "two")


def test_a_browser_that_cannot_outlive_a_page_otherwise_sends_a_beacon(
    page: Page, gateway: ScriptedGateway
) -> None:
    page.evaluate("delete Request.prototype.keepalive")
    stream = connected(page, gateway)
    stream.send(101, "one", at=now())
    has(page, "one")
    assert turned_away(page, gateway)["delivered"] == 1


def test_tabs_of_one_connection_say_once_that_a_frame_came_and_each_that_it_painted(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    leading, following, silent = (context.new_page() for _ in range(3))
    for page in (leading, following, silent):
        page.goto(gateway.url)
    stream = connected(leading, gateway)
    for page, share in ((following, 1), (silent, 0)):
        page.evaluate(CONNECT, {"cursor": cursor(100), "receipts": share})
        until(page, "states.at(-1) === 'live'")
    stream.send(101, "one", at=now())
    for page in (leading, following, silent):
        has(page, "one")
        page.evaluate(PAINTED)
    assert turned_away(leading, gateway) == {"delivered": 1, "painted": 1}
    assert turned_away(following, gateway) == {"painted": 1}
    silent.evaluate(LOOK, True)
    silent.evaluate("fetch('/').then((answer) => answer.text())")
    assert gateway.receipts.empty()


def test_a_share_of_the_connections_promises_receipts(page: Page, gateway: ScriptedGateway) -> None:
    page.evaluate("() => { Math.random = () => 0.5; }")
    stream = connected(page, gateway, receipts=0.5, share=False)
    assert "receipts" not in stream.query
    stream.send(101, "one", at=now())
    has(page, "one")
    page.evaluate("() => { Math.random = () => 0.49; }")
    stream = connected(page, gateway, receipts=0.5, share=False)
    assert "receipts" in stream.query
    stream.send(101, "one", at=now())
    has(page, "one")
    page.evaluate(PAINTED)
    assert turned_away(page, gateway) == {"delivered": 1, "painted": 1}


def test_a_list_sends_receipts_if_it_says_so(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    gateway.pages["/list"] = f"""<!doctype html><title>A list</title>
      <script type="module" src="/live.js"></script>
      <live-list channels="thread:1" cursor="{cursor(100)}" types="comment.created" receipts="1">
        <template><li data-text="text"></li></template>
      </live-list>"""
    page = context.new_page()
    page.goto(f"{gateway.url}/list")
    stream = gateway.stream()
    assert stream.query["receipts"] == "comment.created"
    stream.send(101, "one", at=now())
    page.locator("li").wait_for(timeout=DEADLINE_SECONDS * 1000)
    page.evaluate(PAINTED)
    assert turned_away(page, gateway) == {"delivered": 1, "painted": 1}
