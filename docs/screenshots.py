"""Takes README's pictures of a running `make run`: python docs/screenshots.py"""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

SITE = f"http://127.0.0.1:{os.environ.get('SITE_PORT', '8000')}"
IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Has Ada say something and takes a picture of her browser and of Grace's."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--headless", "--no-sandbox"]
        )
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
        chromium.close()


if __name__ == "__main__":
    main()
