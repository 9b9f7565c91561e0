"""The control panel in a real browser, beside a running system."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from pushgate import Keys, connect
from stack.platform import REPOSITORY
from tests.end_to_end.conftest import DEADLINE_SECONDS, System

pytestmark = [pytest.mark.whole_system, pytest.mark.real_browser]

expect.set_options(timeout=DEADLINE_SECONDS * 1000)

PASSWORD = "of this test alone"


@pytest.fixture(scope="module")
def superuser(system: System) -> str:
    """The name of somebody who may do everything."""
    environment = {
        **os.environ,
        "STATE_DIR": str(system.run.state_dir),
        "SITE_PORT": str(system.run.site_port),
        "GATEWAY_PORT": str(system.run.gateway_port),
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }
    words = ["createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.org"]
    subprocess.run(
        [sys.executable, "-m", "stack.manage", *words], cwd=REPOSITORY, env=environment, check=True
    )
    return "ada"


@pytest.fixture
def panel(browser: Browser, system: System, superuser: str) -> Iterator[Page]:
    """The panel, open and live."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{system.site}/admin/login/?next=/admin/django_hooks/controlpanel/")
    page.get_by_label("Username").fill(superuser)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#pushgate-stream")).to_have_attribute("data-state", "live")
    page.evaluate("window.wasNotReloaded = true")
    yield page
    context.close()


def put_what_is_no_event(system: System) -> None:
    """Puts a job on the queue that nobody can read, and into the books."""
    keys = Keys()
    with connect(system.run.redis_url) as client:
        client.hincrby(keys.ledger, "put", 1)
        client.hincrby(keys.ledger, "queued", 1)
        client.xadd(keys.jobs(0), {"event": b'{"v": 1}'})


def test_a_dead_letter_appears_by_itself_and_is_discarded(panel: Page, system: System) -> None:
    dead = panel.locator("#pushgate-dead")
    before = int(dead.inner_text())
    put_what_is_no_event(system)
    expect(dead).to_have_text(str(before + 1))
    assert panel.evaluate("window.wasNotReloaded")
    panel.get_by_role("link", name="look at them").click()
    panel.get_by_label("All on this page").check()
    panel.get_by_role("button", name="Discard selected").click()
    panel.get_by_role("button", name="Yes, discard").click()
    expect(panel.locator(".messagelist")).to_contain_text("discarded for good")


def test_a_pause_in_one_panel_is_seen_in_another(
    panel: Page, browser: Browser, system: System
) -> None:
    other = panel.context.new_page()
    other.goto(panel.url)
    expect(other.locator("#pushgate-stream")).to_have_attribute("data-state", "live")
    panel.get_by_role("button", name="Pause partition 5").click()
    expect(panel.locator(".messagelist")).to_contain_text("Partition 5 is paused")
    expect(other.get_by_role("button", name="Resume partition 5")).to_be_visible()
    other.get_by_role("button", name="Resume partition 5").click()
    expect(panel.get_by_role("button", name="Pause partition 5")).to_be_visible()


def test_without_the_stream_the_panel_asks_by_itself(panel: Page, system: System) -> None:
    page = panel.context.new_page()
    page.route("**/sub/**", lambda route: route.abort())
    with page.expect_response("**/controlpanel/figures/"):
        page.goto(panel.url)
        expect(page.locator("#pushgate-stream")).to_have_attribute("data-state", "polling")
