"""What the gateway's fan-out is measured beside: a bare loop of send(), and push-stream alone."""

from __future__ import annotations

import os
import pwd
import resource
import shutil
import socket
import struct
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from string import Template

from loadtest.bench.gateway.frames import frame_with_id
from loadtest.bench.spent import family_cpu_seconds
from loadtest.errors import LoadTestError
from stack.platform import Platform
from stack.process import Process, free_port, port_is_free

_HERE = Path(__file__).parent
_DEADLINE_SECONDS = 10


class OtherFanOut(ABC):
    """A server that sends each frame to all of its subscribers."""

    begins_with = b"\r\n\r\n"

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="pushgate-bench-")
        self._directory = Path(self._folder.name)
        self._process: Process | None = None

    def start(self) -> None:
        """Start it; return when it takes subscribers."""
        process = Process("server", self._command(), log=self._directory / "server.log")
        self._process = process
        process.start()
        process.wait_until_ready(lambda: not port_is_free(self.port), _DEADLINE_SECONDS)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
        self._folder.cleanup()

    @property
    def pids(self) -> list[int]:
        """Of its processes."""
        assert self._process is not None, "start it first"
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [pid, *map(int, children.split())]

    def cpu_seconds(self) -> float:
        """Return what its processes have used until now."""
        return family_cpu_seconds(self.pids[0])

    @abstractmethod
    def send(self, frames: Sequence[tuple[str, int]]) -> None:
        """Publish frames: channels and numbers."""

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """What starts it."""


class BareLoop(OtherFanOut):
    """`bare_send.c`, compiled by this machine's own compiler."""

    def __init__(self, subscribers: int) -> None:
        super().__init__()
        self._subscribers = subscribers
        self._publisher: socket.socket | None = None

    def _command(self) -> Sequence[str]:
        compiler = shutil.which("gcc")
        if compiler is None:
            raise LoadTestError("gcc is not installed, which compiles bare_send.c; run make bench")
        program = str(self._directory / "bare_send")
        subprocess.run(
            (compiler, "-O2", "-o", program, str(_HERE / "bare_send.c")), check=True, timeout=60
        )
        return (program, str(self.port), str(self._subscribers))

    def send(self, frames: Sequence[tuple[str, int]]) -> None:
        if self._publisher is None:
            self._publisher = socket.create_connection(("127.0.0.1", self.port))
            self._publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _, number in frames:
            text = frame_with_id(number).encode()
            self._publisher.sendall(struct.pack("@I", len(text)) + text)

    def stop(self) -> None:
        if self._publisher is not None:
            self._publisher.close()
        super().stop()


class PushStreamAlone(OtherFanOut):
    """nginx with the module and `push_stream_alone.conf`."""

    def __init__(self, workers: int = 1) -> None:
        super().__init__()
        self._workers = workers
        self._publisher = HTTPConnection("127.0.0.1", self.port, timeout=_DEADLINE_SECONDS)

    def _command(self) -> Sequence[str]:
        platform = Platform.find()
        text = Template((_HERE / "push_stream_alone.conf").read_text(encoding="utf-8"))
        rendered = self._directory / "nginx.conf"
        rendered.write_text(
            text.safe_substitute(
                modules=platform.nginx_modules,
                user=pwd.getpwuid(os.getuid()).pw_name,
                directory=self._directory,
                descriptors=min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
                port=self.port,
                workers=self._workers,
            ),
            encoding="utf-8",
        )
        prefix = ("-p", str(self._directory), "-c", str(rendered))
        return (*platform.nginx_command, *prefix)

    def send(self, frames: Sequence[tuple[str, int]]) -> None:
        for channel, number in frames:
            self._publisher.request("POST", f"/pub?id={channel}", frame_with_id(number))
            answer = self._publisher.getresponse()
            answer.read()
            if answer.status != 200:
                raise LoadTestError(f"push-stream alone: it answered {answer.status} to a frame")

    def stop(self) -> None:
        self._publisher.close()
        super().stop()
