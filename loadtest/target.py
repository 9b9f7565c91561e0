"""What a load test drives: the site that runs already, or one started for it alone."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from loadtest.errors import LoadTestError
from loadtest.eventsource import EventSourceClient, EventSourceError
from loadtest.site import Site
from stack.errors import StackError
from stack.output import say
from stack.platform import REPOSITORY
from stack.process import Process, free_port
from stack.settings import RunSettings

START_SECONDS = 120
STOP_SECONDS = 60


@dataclass
class Target:
    """A running system.

    Attributes:
        state_dir: where its pid files and logs are; None when somebody else started it.
        keep_logs: set when something went wrong, so that the logs stay for whoever looks.
    """

    site_url: str
    gateway_url: str
    state_dir: Path | None = None
    keep_logs: bool = False


@contextmanager
def running_or_own(environment: Mapping[str, str]) -> Iterator[Target]:
    """Give the system on SITE_PORT and GATEWAY_PORT, or start one that is stopped afterwards.

    One is started only where no port was asked for and nothing answers on the usual ones.

    Raises:
        LoadTestError: what was asked for does not answer.
        StackError: a system could not be started.
    """
    settings = RunSettings.from_environment(environment)
    target = Target(settings.site_url.rstrip("/"), settings.gateway_url)
    site, stream = Site(target.site_url).answers(), stream_answers(target.gateway_url)
    if site and stream:
        say(f"driving {target.site_url} with the gateway {target.gateway_url}")
        yield target
    elif site or stream or environment.get("SITE_PORT") or environment.get("GATEWAY_PORT"):
        silent = [
            f"no {what} answers at {url}"
            for what, url, is_there in (
                ("site", target.site_url, site),
                ("gateway", target.gateway_url, stream),
            )
            if not is_there
        ]
        raise LoadTestError(
            f"{' and '.join(silent)}; start both with `make run`, or say where they are with "
            "SITE_PORT and GATEWAY_PORT"
        )
    else:
        with own(environment) as target:
            yield target


@contextmanager
def own(environment: Mapping[str, str]) -> Iterator[Target]:
    """Start a system on free ports in a folder of its own, and stop it afterwards.

    Raises:
        StackError: it could not be started; names the log's last lines.
    """
    folder = Path(tempfile.mkdtemp(prefix="pushgate-load-"))
    state_dir, log = folder / "state", folder / "run.log"
    site_port, gateway_port = free_port(), free_port()
    process = Process(
        "make run",
        (sys.executable, "-m", "stack.run"),
        log=log,
        directory=REPOSITORY,
        environment={
            **environment,
            "STATE_DIR": str(state_dir),
            "SITE_PORT": str(site_port),
            "GATEWAY_PORT": str(gateway_port),
        },
        # It stops its parts in good order, also when we were killed.
        death_signal=signal.SIGTERM,
    )
    target = Target(f"http://127.0.0.1:{site_port}", f"http://127.0.0.1:{gateway_port}", state_dir)
    say("no site runs here: starting one for this run alone")
    process.start()
    try:
        process.wait_until_ready(lambda: "\nready http" in _text_of(log), START_SECONDS)
        say(f"driving {target.site_url} with the gateway {target.gateway_url}")
        yield target
    except StackError:
        target.keep_logs = True
        raise
    finally:
        process.stop(STOP_SECONDS)
        if target.keep_logs:
            say(f"its logs are in {state_dir / 'logs'}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def stream_answers(gateway_url: str) -> bool:
    """Return whether a gateway gives streams there."""
    with (
        suppress(OSError, EventSourceError),
        EventSourceClient(f"{gateway_url}/sub/thread:1", timeout_seconds=5) as client,
    ):
        client.connect()
        return True
    return False


def _text_of(log: Path) -> str:
    with suppress(FileNotFoundError):
        return "\n" + log.read_text(encoding="utf-8", errors="replace")
    return ""
