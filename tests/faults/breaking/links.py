"""The links between the parts, all in one process, each of which can be made to misbehave."""

from __future__ import annotations

import json
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from stack.errors import StackError
from stack.platform import REPOSITORY
from stack.process import Process, tail
from tests.faults.breaking.condition import Condition, LinkMisuse
from tests.faults.breaking.link import Address, LinkCounts

_ANSWER_SECONDS = 15.0


class Links:
    """Starts the process of the links, and stops it; any thread may use it in between.

    The process ends with us, and with the thread that started it.

    Args:
        directory: for its log and socket, whose path may have 107 bytes at the most.
        seed: decides how late and how long pieces are, and where replies are cut off.
    """

    def __init__(self, directory: Path, seed: int = 1) -> None:
        self._socket_path = directory / "links.sock"
        self._log = directory / "links.log"
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._process = Process(
            "links",
            (
                sys.executable,
                "-m",
                "tests.faults.breaking.link_process",
                str(self._socket_path),
                str(seed),
            ),
            log=self._log,
            directory=REPOSITORY,
        )

    def __enter__(self) -> Links:
        self._socket_path.unlink(missing_ok=True)
        self._process.start()
        try:
            self._process.wait_until_ready(self._connect, 30)
        except BaseException:
            self._process.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        if self._connection is not None:
            self._connection.close()
        self._process.stop()

    @property
    def pid(self) -> int:
        """The process that has all links; raises StackError when it does not run."""
        return self._process.pid

    def add(self, name: str, *, listen: Address, to: Address) -> None:
        """Take connections at `listen` for who is at `to`; raises LinkMisuse when it cannot.

        `to` need not be there yet: until it is, connections are taken and reset.
        """
        self._ask({"do": "add", "name": name, "listen": _said(listen), "to": _said(to)})

    def set(self, name: str, mode: str, **options: object) -> None:
        """Change what a link does; it does so when this returns. `condition.MODES` has them all.

        Connections that lack bytes since the last change, or were half open, are reset.

        Raises:
            LinkMisuse: the link, the mode or an option is not known.
        """
        condition = Condition.of(mode, options)
        self._ask({"do": "set", "name": name, "mode": mode, "options": condition.options()})

    def heal(self, name: str) -> None:
        """Let a link pass on everything again."""
        self.set(name, "pass")

    def counts(self, name: str) -> LinkCounts:
        """Return what a link has done so far."""
        return LinkCounts(**self._ask({"do": "count", "name": name}))

    def _connect(self) -> bool:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_ANSWER_SECONDS)
        with suppress(OSError):
            connection.connect(str(self._socket_path))
            self._connection = connection
            return True
        connection.close()
        return False

    def _ask(self, request: dict[str, object]) -> dict[str, Any]:
        if self._connection is None:
            raise StackError("the links do not run; use `with Links(...)`")
        answer = b""
        with self._lock, suppress(ConnectionError):
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            while not answer.endswith(b"\n") and (piece := self._connection.recv(65_536)):
                answer += piece
        if not answer.endswith(b"\n"):
            raise StackError(f"the links' process has ended; its log ends: {tail(self._log)}")
        said: dict[str, Any] = json.loads(answer)
        if "error" in said:
            raise LinkMisuse(said["error"])
        return said


def _said(address: Address) -> int | str:
    return address if isinstance(address, int) else str(address.absolute())
