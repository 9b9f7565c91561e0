"""`make load`: readers and commenters for a minute, then a report.

Locust patches the standard library when it is imported: everything here is greenlets.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import gevent
from locust.env import Environment
from locust.log import setup_logging

from loadtest.cpu import cpu_seconds
from loadtest.errors import LoadTestError
from loadtest.report import report
from loadtest.session import STOP_SECONDS, LoadSession
from loadtest.settings import LoadSettings
from loadtest.shape import LoadShape
from loadtest.site import Site
from loadtest.target import Target, running_or_own
from loadtest.users import Commenter, Reader, fix_counts
from stack.errors import StackError
from stack.output import say

PROGRESS_SECONDS = 10.0


def main(arguments: list[str]) -> int:
    """Run one load test.

    Returns:
        The exit status: 0 when every frame came once, in order, and nothing failed.
    """
    # Raised here and not in gevent's loop, where a signal may find us.
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, gevent.kill, gevent.getcurrent(), KeyboardInterrupt)
    setup_logging("WARNING", None)
    try:
        settings = LoadSettings.from_arguments(arguments, os.environ)
        settings.allow_descriptors()
        with running_or_own(os.environ) as target:
            passed = drive(target, settings)
            target.keep_logs = not passed
    except (LoadTestError, StackError) as error:
        print(f"load test: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("load test: stopped before its end; no verdict", file=sys.stderr)
        return 130
    return 0 if passed else 1


def drive(target: Target, settings: LoadSettings) -> bool:
    """Put the load on a running system, print the report and return whether all was well.

    Raises:
        LoadTestError: the site did not make the threads.
    """
    environment = Environment(
        user_classes=[Reader, Commenter], shape_class=LoadShape(), stop_timeout=STOP_SECONDS
    )
    fix_counts(settings)
    session = LoadSession(environment, settings, Site(target.site_url), target.gateway_url)
    runner = environment.create_local_runner()
    before = _cpu_seconds(target)
    try:
        runner.start_shape()
        shape = runner.shape_greenlet
        while shape is not None and not shape.ready():
            say(session.progress())
            shape.join(PROGRESS_SECONDS)
        if shape is not None:
            shape.get()
        used = {name: spent - before.get(name, 0) for name, spent in _cpu_seconds(target).items()}
    finally:
        runner.quit()
    session.judge()
    say(report(session, used))
    return session.passed


def _cpu_seconds(target: Target) -> dict[str, float]:
    """Return what the parts have used, and we ourselves."""
    if target.state_dir is None:
        return {}
    return {**cpu_seconds(target.state_dir), "load test": time.process_time()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
