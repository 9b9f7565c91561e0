"""The tabs of one browser, on the running system."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import redis
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect

from pushgate.log import HISTORY_LENGTH, HISTORY_SLACK
from stack.health import UnixConnection
from stack.process import wait_until
from tests.end_to_end.conftest import DEADLINE_SECONDS, System, until

pytestmark = [pytest.mark.whole_system, pytest.mark.real_browser]

expect.set_options(timeout=DEADLINE_SECONDS * 1000)

# What a browser can show on a small machine; people are slower.
PAUSE_SECONDS = 0.03

# Beside the page's own script, which would not show that an event came twice.
RECORD = """async () => {
  const { connect } = await import("/static/django_hooks/live.js");
  const { channel, cursor, gateway } = document.getElementById("thread").dataset;
  Object.assign(window, { recorded: [], resets: [] });
  connect({
    gateway,
    cursor,
    channels: [channel],
    types: ["comment.created"],
    onEvent: ({ data }) => recorded.push(data.id),
    onReset: ({ reason }) => { resets.push(reason); },
  });
}"""

Open = Callable[..., Page]


@pytest.fixture
def thread(system: System) -> int:
    """A thread with one comment."""
    thread = system.new_thread()
    system.say(thread, "The first word.")
    return thread


@pytest.fixture
def tab(context: BrowserContext, system: System, thread: int) -> Open:
    """Opens a tab on the thread and waits until it is live."""

    def open() -> Page:
        page = context.new_page()
        page.goto(f"{system.site}/threads/{thread}/")
        page.evaluate(RECORD)
        live(page)
        return page

    return open


def live(*pages: Page) -> None:
    for page in pages:
        expect(page.locator("#sign")).to_have_attribute("data-state", "live")


def ask_gateway(system: System, method: str, path: str, *bodies: str) -> list[str]:
    """Asks the gateway by its private socket, once for each body."""
    connection = UnixConnection(system.run.state_dir / "gateway" / "private.sock", 10)
    answers = []
    for body in bodies or ("",):
        connection.request(method, path, body, {"Event-Type": "noise.made"} if body else {})
        answers.append(connection.getresponse().read().decode())
    connection.close()
    return answers


def subscribers(system: System, thread: int) -> int:
    """How many connections the gateway has to the thread's channel."""
    (answer,) = ask_gateway(system, "GET", f"/channels-stats?id=thread:{thread}")
    found = json.loads(answer) if answer.startswith("{") else {}
    return int(found.get("subscribers", 0))


def wait_for_subscribers(system: System, thread: int, count: int) -> None:
    wait_until(
        lambda: subscribers(system, thread) == count, DEADLINE_SECONDS, f"{count} subscriber(s)"
    )


class Talk:
    """Comments, one after the other, in a thread of its own."""

    def __init__(self, system: System, thread: int) -> None:
        self.said: list[int] = []
        self._system, self._thread = system, thread
        self._stop = threading.Event()
        self._talker = threading.Thread(target=self._talk, daemon=True)

    def _talk(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            self.said.append(self._system.say(self._thread, f"word {len(self.said)}"))

    def go_on_for(self, comments: int) -> None:
        """Wait until this many more have been said."""
        goal = len(self.said) + comments
        wait_until(lambda: len(self.said) >= goal, DEADLINE_SECONDS, f"{goal} comments")

    @contextmanager
    def going_on(self) -> Iterator[Talk]:
        """Talk until the block ends."""
        self._talker.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._talker.join(DEADLINE_SECONDS)


def has_all(page: Page, said: list[int]) -> None:
    """The page was told of each comment once, in order, and shows each once."""
    until(page, f"recorded.length >= {len(said)}")
    assert page.evaluate("recorded") == said
    shown = page.locator(".comment:not(.going)")
    expect(shown).to_have_count(len(said) + 1)
    assert [int(item.get_attribute("data-id") or 0) for item in shown.all()][1:] == said


def close(page: Page) -> None:
    page.close()


def crash(page: Page) -> None:
    with page.expect_event("crash"), suppress(Error):
        page.goto("chrome://crash")


@pytest.mark.parametrize("end", [close, crash])
def test_a_second_tab_takes_over_and_nothing_is_lost_or_told_twice(
    system: System, thread: int, tab: Open, end: Callable[[Page], None]
) -> None:
    first, second = tab(), tab()
    wait_for_subscribers(system, thread, 1)
    with Talk(system, thread).going_on() as talk:
        talk.go_on_for(10)
        third = tab()
        talk.go_on_for(10)
        end(first)
        talk.go_on_for(20)
        live(second, third)
        talk.go_on_for(10)
    wait_for_subscribers(system, thread, 1)
    has_all(second, talk.said)
    until(third, f"recorded.at(-1) === {talk.said[-1]}")
    told = third.evaluate("recorded")
    assert told == talk.said[-len(told) :]
    for page in (second, third):
        assert page.evaluate("resets") == []


def fall_asleep(page: Page) -> None:
    """What the browser tells a page that it is about to freeze."""
    page.evaluate("document.dispatchEvent(new Event('freeze'))")


def wake_up(page: Page) -> None:
    page.evaluate("document.dispatchEvent(new Event('resume'))")


def test_a_tab_that_slept_too_long_is_right_again(system: System, thread: int, tab: Open) -> None:
    page = tab()
    gone = system.say(thread, "This will be gone.")
    expect(page.locator(f"#comment-{gone}")).to_be_visible()
    fall_asleep(page)
    wait_for_subscribers(system, thread, 0)
    system.say(thread, "Said while it slept.")
    assert system.call("DELETE", f"/api/comments/{gone}/").status == 204
    noise = [json.dumps({"n": n}) for n in range(HISTORY_LENGTH + HISTORY_SLACK + 1)]
    ask_gateway(system, "POST", f"/pub?id=thread:{thread}", *noise)
    wake_up(page)
    live(page)
    assert page.evaluate("resets") == ["history"]
    expect(page.locator(".comment", has_text="Said while it slept.")).to_have_count(1)
    expect(page.locator(f"#comment-{gone}")).to_have_count(0)
    expect(page.locator(".comment")).to_have_count(2)
    system.say(thread, "And on it goes.")
    expect(page.locator(".comment", has_text="And on it goes.")).to_have_count(1)


def test_tabs_are_right_again_when_the_log_was_lost(system: System, thread: int, tab: Open) -> None:
    asleep, awake = tab(), tab()
    fall_asleep(asleep)
    with redis.Redis.from_url(system.run.redis_url) as client:
        client.flushall()
    system.say(thread, "Said into the new log.")
    until(awake, "resets.includes('epoch')")
    wake_up(asleep)
    until(asleep, "resets.includes('epoch')")
    for page in (asleep, awake):
        live(page)
        expect(page.locator(".comment", has_text="Said into the new log.")).to_have_count(1)
        expect(page.locator(".comment")).to_have_count(2)
    wait_for_subscribers(system, thread, 1)


def test_a_deleted_comment_is_gone_everywhere(
    browser: Browser, system: System, thread: int, tab: Open
) -> None:
    first, second, asleep = tab(), tab(), tab()
    with browser.new_context() as elsewhere:
        other = elsewhere.new_page()
        other.goto(f"{system.site}/threads/{thread}/")
        live(other)
        fall_asleep(asleep)
        first.get_by_role("button", name="Delete").click()
        first.get_by_role("button", name="Really delete?").click()
        for page in (first, second, other):
            expect(page.locator(".comment")).to_have_count(0)
            expect(page.locator("#empty")).to_be_visible()
        expect(asleep.locator(".comment")).to_have_count(1)
        wake_up(asleep)
        expect(asleep.locator(".comment")).to_have_count(0)


LIST = """<live-list channels="thread:{thread}" gateway="{gateway}" refetch="/list/"
    types="comment.created comment.updated comment.deleted">
  <template><li><b data-text="author"></b> <span data-text="text"></span></li></template>
  <ol data-items></ol>
</live-list>"""


def test_a_live_list_needs_no_script_of_the_pages_own(
    context: BrowserContext, system: System, thread: int
) -> None:
    html = LIST.format(thread=thread, gateway=system.gateway)
    page = context.new_page()
    page.route("**/list/", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(system.site)
    page.evaluate(
        """(html) => {
          document.body.innerHTML = html;
          return import("/static/django_hooks/live.js");
        }""",
        html,
    )
    expect(page.locator("live-list")).to_have_attribute("state", "live")
    comment = system.say(thread, "Into the list.")
    expect(page.locator("li")).to_have_text(["Ada Into the list."])
    assert system.call("PATCH", f"/api/comments/{comment}/", {"text": "Changed."}).status == 200
    expect(page.locator("li")).to_have_text(["Ada Changed."])
    assert system.call("DELETE", f"/api/comments/{comment}/").status == 204
    expect(page.locator("li")).to_have_count(0)
