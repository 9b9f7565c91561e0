"""`<live-list>` in a real Chromium, against a gateway under the test's control."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from stack.process import wait_until
from tests.end_to_end.conftest import DEADLINE_SECONDS
from tests.end_to_end.scripted_gateway import ScriptedGateway, Stream, cursor

pytestmark = pytest.mark.real_browser

ITEM = """<li data-attr="class=kind"><b data-text="author.name"></b>:
  <span data-text="text"></span>
  <a data-attr="href=link title=text onclick=text">more</a>
  <i data-show="edited_at">edited</i></li>"""


def page_of(*items: str, attributes: str = "", types: str = "created updated deleted") -> str:
    names = " ".join(f"comment.{name}" for name in types.split())
    return f"""<!doctype html><title>A list</title>
      <script type="module" src="/live.js"></script>
      <live-list id="list" channels="thread:1" cursor="{cursor(100)}" types="{names}" {attributes}>
        <template>{ITEM}</template>
        <ol data-items>{"".join(items)}</ol>
      </live-list>"""


def item(number: int, text: str) -> str:
    return f'<li data-key="threads.comment:{number}"><span data-text="text">{text}</span></li>'


def show(context: BrowserContext, gateway: ScriptedGateway, html: str) -> tuple[Page, Stream]:
    """Opens a page with this list and waits until it is live."""
    gateway.pages["/list"] = html
    page = context.new_page()
    page.goto(f"{gateway.url}/list")
    stream = gateway.stream()
    expect(page.locator("#list")).to_have_attribute("state", "live")
    return page, stream


def texts(page: Page, *expected: str) -> None:
    expect(page.locator("li span")).to_have_text(list(expected))


def test_items_come_change_and_go(context: BrowserContext, gateway: ScriptedGateway) -> None:
    page, stream = show(context, gateway, page_of(item(1, "one"), item(2, "two")))
    stream.send(101, "three", 1, number=3)
    texts(page, "one", "two", "three")
    stream.send(102, "two, changed", 1, number=2, type="comment.updated")
    stream.send(103, "of another page", 1, number=9, type="comment.updated")
    stream.send(104, "", 2, number=1, type="comment.deleted")
    texts(page, "two, changed", "three")
    stream.send(105, "three", 2, number=3)
    stream.send(106, "four", 1, number=4)
    texts(page, "two, changed", "three", "four")


def test_slots_take_text_attributes_and_nothing_that_runs(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    page, stream = show(context, gateway, page_of())
    evil = "<img src=x onerror=document.title='hacked'>"
    stream.send(
        *(101, evil, 1),
        author={"name": "<b>Ada</b>"},
        link="javascript:document.title='hacked'",
        edited_at=None,
        kind="own",
    )
    texts(page, evil)
    shown = page.locator("li")
    expect(shown).to_have_class("own")
    expect(shown.locator("b")).to_have_text("<b>Ada</b>")
    expect(shown.locator("i")).to_be_hidden()
    link = shown.locator("a")
    assert link.get_attribute("title") == evil
    assert link.get_attribute("href") is None
    assert link.get_attribute("onclick") is None
    stream.send(102, "safe", 2, type="comment.updated", link="/there", edited_at="now")
    texts(page, "safe")
    expect(link).to_have_attribute("href", "/there")
    expect(shown.locator("i")).to_be_visible()
    expect(shown.locator("b")).to_have_text("<b>Ada</b>")
    assert page.title() == "A list"
    assert page.locator("img").count() == 0


def test_an_item_without_slots_is_made_anew(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    page, stream = show(context, gateway, page_of('<li data-key="threads.comment:1">one</li>'))
    stream.send(101, "changed", 1, type="comment.updated")
    texts(page, "changed")
    expect(page.locator("li")).to_have_attribute("data-key", "threads.comment:1")


def test_the_newest_may_stand_first_and_the_oldest_go(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    items = (item(2, "two"), item(1, "one"))
    page, stream = show(context, gateway, page_of(*items, attributes='order="prepend" most="2"'))
    stream.send(101, "three", 1, number=3)
    texts(page, "three", "two")


def test_the_page_says_which_types_insert_and_remove(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    attributes = 'inserts="comment.posted" removes="comment.hidden comment.deleted"'
    html = page_of(item(1, "one"), attributes=attributes, types="created posted hidden")
    page, stream = show(context, gateway, html)
    stream.send(101, "not this", 1, number=2, type="comment.created")
    stream.send(102, "this", 1, number=3, type="comment.posted")
    texts(page, "one", "this")
    stream.send(103, "", 1, number=1, type="comment.hidden")
    texts(page, "this")


def test_after_a_gap_it_fetches_its_own_part_of_the_page(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    page, stream = show(context, gateway, page_of(item(1, "one"), attributes='refetch="/part"'))
    gateway.pages["/part"] = page_of(item(2, "two"), item(3, "three"))
    page.evaluate("window.kept = document.querySelector('live-list')")
    stream.reset(500, "history")
    stream.send(501, "four", 1, number=4)
    texts(page, "two", "three", "four")
    expect(page.locator("live-list")).to_have_attribute("state", "live")
    assert page.evaluate("kept === document.querySelector('live-list')")


def test_a_burst_has_the_list_fetched_anew(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    page, stream = show(
        context, gateway, page_of(item(1, "one"), attributes='bursts="comment.burst"')
    )
    gateway.pages["/list"] = page_of(*[item(n, f"comment {n}") for n in range(1, 6)])
    stream.send(101, "", 0, number=9, type="comment.burst")
    stream.send(102, "", 0, number=9, type="comment.burst")
    texts(page, *[f"comment {n}" for n in range(1, 6)])
    stream.send(103, "six", 1, number=6)
    texts(page, *[f"comment {n}" for n in range(1, 6)], "six")


def test_without_an_address_it_fetches_its_own_page(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    page, stream = show(context, gateway, page_of(item(1, "one")))
    gateway.pages["/list"] = page_of(item(2, "two"))
    stream.reset(500, "history")
    texts(page, "two")


def test_it_never_fetches_from_another_site(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    attributes = 'refetch="https://other.example/"'
    page, stream = show(context, gateway, page_of(item(1, "one"), attributes=attributes))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    stream.reset(500, "history")
    expect(page.locator("live-list")).to_have_attribute("state", "catching up")
    assert not [address for address in asked if "other.example" in address]
    texts(page, "one")


def test_a_page_may_show_an_event_itself(context: BrowserContext, gateway: ScriptedGateway) -> None:
    page, stream = show(context, gateway, page_of(item(1, "one")))
    page.evaluate(
        """() => {
          window.heard = [];
          document.addEventListener("live-event", (event) => {
            heard.push([event.detail.type, event.detail.data.text]);
            if (event.detail.data.text === "not here") event.preventDefault();
          });
        }"""
    )
    stream.send(101, "not here", 1, number=2)
    stream.send(102, "here", 1, number=3)
    texts(page, "one", "here")
    assert page.evaluate("heard") == [["comment.created", "not here"], ["comment.created", "here"]]


def test_lists_of_one_page_share_a_connection(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    other = page_of().replace('id="list" channels="thread:1"', 'id="other" channels="thread:2"')
    page, _ = show(context, gateway, page_of(item(1, "one")) + other)
    stream = gateway.open_streams()[0]
    assert stream.channels == {"thread:1", "thread:2"}
    stream.send(101, "for the other", 1, number=2, channels=("thread:2",))
    stream.send(102, "for the first", 1, number=3)
    expect(page.locator("#list li span")).to_have_text(["one", "for the first"])
    expect(page.locator("#other li span")).to_have_text(["for the other"])
    assert len(gateway.all_streams) == 1


def test_put_elsewhere_in_the_page_it_goes_on(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    page, stream = show(context, gateway, page_of())
    stream.send(101, "one", 1)
    texts(page, "one")
    page.evaluate(
        "document.body.append(document.createElement('main'));"
        "document.querySelector('main').append(document.querySelector('live-list'))"
    )
    again = gateway.stream()
    assert again.query == {"last_event_id": cursor(101)}
    again.send(102, "two", 1, number=2)
    texts(page, "one", "two")


def test_taken_out_of_the_page_it_disconnects(
    context: BrowserContext, gateway: ScriptedGateway
) -> None:
    page, stream = show(context, gateway, page_of())
    page.evaluate("document.querySelector('live-list').remove()")
    wait_until(lambda: not stream.is_open, DEADLINE_SECONDS, "the stream is closed")
