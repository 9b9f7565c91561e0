"""One service of compose.yaml as buildah runs it where no container engine does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from stack.process import Process, tail, wait_until
from tests.images.name_server import ADDRESS

# buildah starts itself twice over before it starts the container's process.
_BUILDAH_GENERATIONS = 3
# What starting a container for a question costs on a busy machine.
_ASK_SECONDS = 30.0


class Container:
    """A container made from a service's image, with the service's settings.

    Args:
        buildah: the command and its options for the store that holds the images.
        service: the service as `docker-compose config --format json` prints it.
        log: where its output goes.
    """

    def __init__(
        self, buildah: Sequence[str], name: str, service: Mapping[str, Any], log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._buildah = tuple(buildah)
        self._service = service
        self._container = self._call(
            *("from", "--pull-never", "--dns", ADDRESS, f"localhost/{service['image']}")
        ).strip()
        self._process = Process(name, self._run_command(self._words()), log=log)

    @property
    def running(self) -> bool:
        """Whether its process has been started and has not ended."""
        return self._process.running

    @cached_property
    def image(self) -> Mapping[str, Any]:
        """The image's own settings: `User`, `Env`, `Entrypoint`, `Cmd`."""
        config: Mapping[str, Any] = json.loads(self._call("inspect", self._container))
        return dict(config["OCIv1"]["config"])

    @property
    def pid(self) -> int:
        """The container's first process."""
        pid = self._process.pid
        for _ in range(_BUILDAH_GENERATIONS):
            pid = _only_child(pid)
        return pid

    def start(self) -> None:
        """Start the container's process."""
        self._process.start()

    def wait_until_healthy(self, deadline_seconds: float = 60) -> None:
        """Return when its health check says yes; raises with the log's end when it does not."""
        self._process.wait_until_ready(lambda: self.is_healthy, deadline_seconds)

    def run_to_its_end(self, deadline_seconds: float = 120) -> None:
        """Run a service that ends by itself; raises when it ends badly."""
        self.start()
        wait_until(lambda: not self.running, deadline_seconds, f"{self.name} has ended")
        status = self._process.stop()
        assert status == 0, f"{self.name} ended with {status}; its log ends: {tail(self.log)}"

    @property
    def is_healthy(self) -> bool:
        """Whether the health check of compose.yaml says yes now."""
        kind, *words = self._service["healthcheck"]["test"]
        assert kind == "CMD"
        return self.ask(*words).returncode == 0

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as `docker compose exec` does; return how it ended."""
        return subprocess.run(
            self._run_command(words),
            capture_output=True,
            text=True,
            timeout=_ASK_SECONDS,
            check=False,
        )

    def stop(self) -> int | None:
        """Ask the container's process to end as an engine does; return its exit status.

        The status is that of a kill when it did not end within compose.yaml's time.
        """
        if not self.running:
            return self._process.stop()
        os.kill(self.pid, signal.SIGTERM)
        wait_until(lambda: not self.running, self.stop_seconds, f"{self.name} has ended")
        return self._process.stop()

    def end(self) -> None:
        """Stop the process without regard for how it ends."""
        self._process.stop(deadline_seconds=1)

    @property
    def stop_seconds(self) -> float:
        """How long an engine would wait before it kills."""
        grace = re.fullmatch(r"(?:(\d+)m)?(\d+)s", self._service.get("stop_grace_period", "10s"))
        assert grace, self._service["stop_grace_period"]
        return 60.0 * int(grace[1] or 0) + int(grace[2])

    def _words(self) -> list[str]:
        entrypoint = self._service["entrypoint"] or self.image.get("Entrypoint") or []
        return [*entrypoint, *(self._service["command"] or self.image.get("Cmd") or [])]

    def _run_command(self, words: Sequence[str]) -> tuple[str, ...]:
        settings = self._service.get("environment", {})
        return (
            *self._buildah,
            *("run", "--isolation", "chroot", "--hostname", self.name),
            *(f"--cap-drop={right}" for right in self._service.get("cap_drop", ())),
            *(f"--env={name}={value}" for name, value in settings.items()),
            *(self._container, "--", *words),
        )

    def _call(self, *words: str) -> str:
        return subprocess.run(
            (*self._buildah, *words), check=True, capture_output=True, text=True, timeout=60
        ).stdout


def _only_child(pid: int) -> int:
    children = [
        int(child)
        for listed in Path(f"/proc/{pid}/task").glob("*/children")
        for child in listed.read_text(encoding="ascii").split()
    ]
    assert len(children) == 1, f"process {pid} has the children {children}"
    return children[0]
