"""What browsers painted, from a comment's save to the gateway's figures; every part real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from prometheus_client.parser import text_string_to_metric_families

from stack.health import UnixConnection
from stack.process import wait_until
from tests.end_to_end.conftest import DEADLINE_SECONDS, Reader, System, running_system, until

pytestmark = [pytest.mark.whole_system, pytest.mark.real_browser, pytest.mark.long]

expect.set_options(timeout=DEADLINE_SECONDS * 1000)

COMMENTS = 5
# What is shown now has been painted when this is done; then the reader looks elsewhere.
PAINT_AND_LEAVE = """async () => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  await painted();
  await painted();
  Object.defineProperty(document, "hidden", { value: true, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system all of whose browsers send receipts."""
    state = tmp_path_factory.mktemp("receipts") / "state"
    with running_system(state, {"PUSHGATE_RECEIPTS": "on", "SITE_RECEIPTS": "1"}) as system:
        yield system


def figures(system: System) -> dict[str, float]:
    """What the gateway has counted of threads' frames."""
    connection = UnixConnection(system.run.state_dir / "gateway/private.sock", timeout_seconds=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("prefix") == "thread":
                others = [sample.labels[name] for name in sample.labels if name != "prefix"]
                found[" ".join([sample.name, *others])] = sample.value
    return found


def open_page(browser: Browser, system: System, thread: int) -> Page:
    page = browser.new_context().new_page()
    page.goto(f"{system.site}/threads/{thread}/")
    expect(page.locator("#sign")).to_have_attribute("data-state", "live")
    return page


def test_what_browsers_painted_is_what_was_expected_of_them(
    browser: Browser, system: System
) -> None:
    thread = system.new_thread()
    pages = [open_page(browser, system, thread) for _ in range(2)]
    # One that is no browser, of which nothing is expected.
    reader = Reader(system, thread)
    for number in range(COMMENTS):
        system.say(thread, f"Comment {number}.")
    for page in pages:
        expect(page.locator(".comment")).to_have_count(COMMENTS)
        page.evaluate(PAINT_AND_LEAVE)
    system.say(thread, "Said when nobody looked.")
    wait_until(lambda: len(reader.events) == COMMENTS + 1, DEADLINE_SECONDS, "all are sent")
    for page in pages:
        until(page, f"document.querySelectorAll('.comment').length === {COMMENTS + 1}")
        page.context.close()
    reader.close()
    wanted = {
        "pushgate_receipts_expected_total": len(pages) * (COMMENTS + 1),
        "pushgate_receipts_delivered_total": len(pages) * (COMMENTS + 1),
        "pushgate_receipts_total painted": len(pages) * COMMENTS,
        "pushgate_receipts_total hidden": len(pages),
    }

    def are_there() -> bool:
        found = figures(system)
        return all(found.get(name) == value for name, value in wanted.items())

    wait_until(are_there, DEADLINE_SECONDS, f"{wanted} is counted")
    found = figures(system)
    assert found["pushgate_commit_to_paint_seconds_count"] == len(pages) * COMMENTS
    assert 0 < found["pushgate_commit_to_paint_seconds_sum"] < DEADLINE_SECONDS
