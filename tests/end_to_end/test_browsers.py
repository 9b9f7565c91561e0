"""Two people, two browsers, one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.conftest import DEADLINE_SECONDS, System

pytestmark = [pytest.mark.whole_system, pytest.mark.real_browser]

expect.set_options(timeout=DEADLINE_SECONDS * 1000)


@pytest.fixture
def thread(system: System) -> int:
    """A thread with one comment."""
    thread = system.new_thread()
    system.say(thread, "The first word.")
    return thread


@pytest.fixture
def pages(browser: Browser, system: System, thread: int) -> Iterator[tuple[Page, Page]]:
    """Two browsers that share nothing, both on the thread and live."""
    contexts = [browser.new_context(), browser.new_context()]
    opened = []
    for context in contexts:
        page = context.new_page()
        page.goto(f"{system.site}/threads/{thread}/")
        expect(page.locator("#sign")).to_have_attribute("data-state", "live")
        page.evaluate("window.wasNotReloaded = true")
        opened.append(page)
    yield opened[0], opened[1]
    for page in opened:
        assert page.evaluate("window.wasNotReloaded"), "the page was reloaded"
    for context in contexts:
        context.close()


def say(page: Page, author: str, text: str) -> None:
    page.get_by_label("Your name").fill(author)
    page.get_by_label("Your comment").fill(text)
    page.get_by_role("button", name="Post comment").click()


def test_a_comment_posted_in_one_is_in_the_other(pages: tuple[Page, Page]) -> None:
    ada, grace = pages
    say(ada, "Ada", "Good <b>morning</b>, Grace.")
    comment = grace.locator(".comment", has_text="Good <b>morning</b>, Grace.")
    expect(comment).to_have_count(1)
    expect(comment.locator(".author")).to_have_text("Ada")
    say(grace, "Grace", "Good morning, Ada.")
    expect(ada.locator(".comment", has_text="Good morning, Ada.")).to_have_count(1)
    for page in pages:
        expect(page.locator(".comment")).to_have_count(3)
        expect(page.locator("#count")).to_have_text("3")


def test_an_edit_in_one_is_in_the_other(pages: tuple[Page, Page]) -> None:
    ada, grace = pages
    ada.get_by_role("link", name="Edit").click()
    ada.locator(".editor textarea").fill("The first word, corrected.")
    ada.locator(".editor").get_by_role("button", name="Save").click()
    changed = grace.locator(".comment", has_text="The first word, corrected.")
    expect(changed).to_have_count(1)
    expect(changed.locator(".edited")).to_be_visible()
    expect(grace.locator(".comment")).to_have_count(1)


def test_a_deletion_in_one_is_in_the_other(pages: tuple[Page, Page]) -> None:
    ada, grace = pages
    ada.get_by_role("button", name="Delete").click()
    ada.get_by_role("button", name="Really delete?").click()
    expect(grace.locator(".comment")).to_have_count(0)
    expect(grace.locator("#empty")).to_be_visible()


def test_what_is_written_between_page_and_stream_is_not_missed(
    browser: Browser, system: System, thread: int
) -> None:
    page = browser.new_page()
    # The page's own script, and with it the stream, comes only after the comment.
    page.route(
        "**/thread*.js",
        lambda route: (system.say(thread, "Said in between."), route.continue_()),
    )
    page.goto(f"{system.site}/threads/{thread}/")
    expect(page.locator(".comment", has_text="Said in between.")).to_have_count(1)
    expect(page.locator(".comment")).to_have_count(2)
    page.close()


def test_a_page_without_scripts_still_posts(browser: Browser, system: System, thread: int) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{system.site}/threads/{thread}/")
    say(page, "Grace", "By an ordinary form.")
    expect(page.locator(".comment", has_text="By an ordinary form.")).to_have_count(1)
    context.close()
