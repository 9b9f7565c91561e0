"""Takes README's pictures of a running `make run`: python -m docs.screenshots

With the environment of `make run` (STATE_DIR and the ports). It says something in a thread, and has
a superuser for as long as it takes a picture of the control panel.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from pushgate.job_queue import partition_of

SITE = f"http://127.0.0.1:{os.environ.get('SITE_PORT', '8000')}"
PANEL = "/admin/django_hooks/controlpanel/"
IMAGES = Path(__file__).parent / "images"
PARTITIONS = 8
PAUSED = 3


def main() -> None:
    """Takes all pictures."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--headless", "--no-sandbox"]
        )
        picture_readers(chromium)
        with superuser() as (name, password):
            picture_panel(chromium, name, password)
        chromium.close()


def picture_readers(chromium: Browser) -> None:
    """Has Ada say something and takes a picture of her browser and of Grace's."""
    pages = {}
    for name in ("ada", "grace"):
        context = chromium.new_context(
            viewport={"width": 560, "height": 640}, device_scale_factor=2
        )
        pages[name] = context.new_page()
        pages[name].goto(f"{SITE}/threads/1/")
        expect(pages[name].locator("#sign")).to_have_attribute("data-state", "live")
    ada, grace = pages["ada"], pages["grace"]
    ada.get_by_label("Your name").fill("Ada")
    ada.get_by_label("Your comment").fill("Written here, and already over there.")
    ada.get_by_role("button", name="Post comment").click()
    for page in (ada, grace):
        expect(page.locator(".comment").last).to_contain_text("already over there")
    for name, page in pages.items():
        page.locator(".comment").last.evaluate(
            "item => scrollTo(0, item.getBoundingClientRect().bottom + scrollY - 600)"
        )
        page.screenshot(path=IMAGES / f"{name}.png")


def picture_panel(chromium: Browser, name: str, password: str) -> None:
    """Takes a picture of the control panel with a paused partition and dead letters."""
    context = chromium.new_context(viewport={"width": 1240, "height": 930}, device_scale_factor=1.5)
    page = context.new_page()
    page.goto(f"{SITE}/admin/login/?next={PANEL}")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name=f"Pause partition {PAUSED}").click()
    expect(page.get_by_role("button", name=f"Resume partition {PAUSED}")).to_be_visible()
    page.wait_for_timeout(2000)  # Within a second nobody claims from it any more.
    in_paused = [
        f"thread:{number}"
        for number in range(1000)
        if partition_of(f"thread:{number}", PARTITIONS) == PAUSED
    ]
    for channel in in_paused[:3]:
        manage("push_publish", "comment.created", channel, "--data", '{"id": 1, "thread": 1}')
    # The comments' pipeline makes a link of the thread's number, which these lack.
    for number in (40, 41):
        manage(
            *("push_publish", "comment.created", "thread:1", "--data", f'{{"id": {number}}}'),
            *("--object", f"threads.comment:{number}"),
        )
    page.goto(f"{SITE}{PANEL}")
    expect(page.locator("#pushgate-stream")).to_have_attribute("data-state", "live")
    expect(page.locator("#pushgate-jobs")).to_have_text("3")
    expect(page.locator("#pushgate-dead")).not_to_have_text("0")
    page.screenshot(path=IMAGES / "panel.png", full_page=True)
    tidy_up(page)
    context.close()


def tidy_up(page: Page) -> None:
    """Leaves the queue as it was found."""
    page.get_by_role("button", name=f"Resume partition {PAUSED}").click()
    page.goto(f"{SITE}{PANEL}dead-letters/")
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Discard selected").click()
    page.get_by_role("button", name="Yes, discard").click()
    expect(page.locator(".messagelist")).to_contain_text("discarded for good")


@contextmanager
def superuser() -> Iterator[tuple[str, str]]:
    """A name and a password that open the admin, within the block."""
    name, password = "ada", secrets.token_urlsafe()
    words = ("createsuperuser", "--noinput", "--username", name, "--email", "ada@example.org")
    manage(*words, DJANGO_SUPERUSER_PASSWORD=password)
    try:
        yield name, password
    finally:
        delete = f"User.objects.get(username={name!r}).delete()"
        manage("shell", "-c", f"from django.contrib.auth.models import User; {delete}")


def manage(*words: str, **environment: str) -> None:
    """Runs a management command of the running site."""
    command = [sys.executable, "-m", "stack.manage", *words]
    subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)


if __name__ == "__main__":
    main()
