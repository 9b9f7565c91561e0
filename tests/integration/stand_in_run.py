"""`make run` with small stand-ins for the parts: a real Redis, and a page served by Python.

Run by the tests as a program: `python -m tests.integration.stand_in_run`.
STAND_IN_BROKEN names a part that is to be broken: `site-dies` or `before-fails`.
"""

import os
import sys
from collections.abc import Sequence

from stack.health import page_is_served
from stack.parts import Part, table
from stack.platform import Platform
from stack.run import main
from stack.settings import RunSettings


def stand_in_parts(settings: RunSettings, platform: Platform, redis_port: int) -> Sequence[Part]:
    """Return the real Redis and a stand-in for the site."""
    broken = os.environ.get("STAND_IN_BROKEN", "")
    serve = ("-m", "http.server", str(settings.site_port), "--bind", "127.0.0.1")
    die = ("-c", "raise SystemExit('the site was broken on purpose')")
    fail = (sys.executable, "-c", "raise SystemExit('the step before was broken on purpose')")
    site = Part(
        name="site",
        command=(sys.executable, *(die if broken == "site-dies" else serve)),
        healthy=lambda: page_is_served(settings.site_url),
        healthy_means="serves a page",
        before=(fail,) if broken == "before-fails" else (),
    )
    return (table(settings, platform, redis_port)[0], site)


if __name__ == "__main__":
    sys.exit(main(stand_in_parts))
