"""For locust's own command line: `READERS=100 locust -f loadtest/locustfile.py --headless`.

Drives the site that runs; `python -m loadtest.run` starts one where none does. What is written and
what is received is compared in one process, so it is not for locust's distributed modes.
"""

from __future__ import annotations

import os
import sys

from locust import events
from locust.env import Environment
from locust.runners import LocalRunner

from loadtest.errors import LoadTestError
from loadtest.report import report
from loadtest.session import STOP_SECONDS, LoadSession, session_of
from loadtest.settings import LoadSettings
from loadtest.shape import LoadShape
from loadtest.site import Site
from loadtest.users import Commenter, Reader, fix_counts
from stack.errors import StackError
from stack.settings import RunSettings

__all__ = ["Commenter", "LoadShape", "Reader"]


def prepare(environment: Environment, **_: object) -> None:
    """Make the session that the users of this environment share; end locust where there cannot be
    one.
    """
    try:
        if not isinstance(environment.runner, LocalRunner):
            raise LoadTestError("run it in one process: without --master, --worker, --processes")
        run = RunSettings.from_environment(os.environ)
        site = Site(run.site_url)
        if not site.answers():
            raise LoadTestError(f"no site answers at {run.site_url}; start it with `make run`")
        settings = LoadSettings.from_environment(os.environ)
        settings.allow_descriptors()
    except (LoadTestError, StackError) as error:
        sys.exit(f"load test: {error}")
    fix_counts(settings)
    environment.stop_timeout = environment.stop_timeout or STOP_SECONDS
    LoadSession(environment, settings, site, run.gateway_url)


def conclude(environment: Environment, **_: object) -> None:
    """Print the report and set locust's exit status."""
    session = session_of(environment)
    session.judge()
    print(report(session))
    environment.process_exit_code = 0 if session.passed else 1


events.init.add_listener(prepare)
events.test_stop.add_listener(conclude)
