"""A `make run` started by a test, with what it said and which processes it left."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.platform import REPOSITORY
from stack.process import free_port, wait_until

STAND_INS = (sys.executable, "-m", "tests.integration.stand_in_run")


class StartedRun:
    """A run as a child process with a state folder and ports of its own.

    Args:
        command: what to start; the run with stand-ins when not given.
        environment: beyond our own.
    """

    def __init__(
        self,
        state_dir: Path,
        command: Sequence[str] = STAND_INS,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.state_dir = state_dir
        self.site_port = free_port()
        self.gateway_port = free_port()
        self._words = state_dir.with_name(state_dir.name + ".said")
        settings = {
            "STATE_DIR": str(state_dir),
            "SITE_PORT": str(self.site_port),
            "GATEWAY_PORT": str(self.gateway_port),
        }
        with self._words.open("w") as output:
            self.child = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env={**os.environ, **settings, **(environment or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """All it has printed until now."""
        return self._words.read_text()

    def wait_until_ready(self, deadline_seconds: float = 90) -> None:
        """Wait for the line `ready`."""
        wait_until(
            lambda: "ready http" in self.said or self.child.poll() is not None,
            deadline_seconds,
            "the run is ready",
        )
        assert self.child.poll() is None, self.said

    def pid(self, part: str) -> int:
        """The pid in a part's pid file."""
        return int((self.state_dir / f"{part}.pid").read_text())

    @property
    def redis_url(self) -> str:
        """Where its Redis listens."""
        return f"redis://127.0.0.1:{(self.state_dir / 'redis.port').read_text().strip()}/0"

    def processes(self) -> set[int]:
        """The pids of all living processes that were told of this state folder."""
        mark = b"STATE_DIR=" + os.fsencode(self.state_dir)
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.add(int(folder.name))
            except OSError:
                continue
        return found

    def wait_until_gone(self) -> None:
        """Wait until no process of it is left."""
        wait_until(lambda: not self.processes(), 60, "no process of the run is left")

    def end(self) -> None:
        """Kill whatever is left."""
        for pid in self.processes():
            if pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
        self.child.wait(60)
