"""The parent's side of one child process: started, asked, killed. See `formatter.process_pool`."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from formatter.errors import DeadlineExceeded, NoProcess, ProcessDied, ResultTooLarge
from formatter.pool_process import ERROR, HEADER, REQUEST

logger = logging.getLogger("formatter")

START_SECONDS = 30.0
"""How long a child may take until it has answered its first call."""

END_SECONDS = 5.0
"""How long to wait for a process that was killed, or has closed its socket as it does when it ends;
busy machines take their time. Past it, the kernel itself holds it, or it has let go on purpose."""

_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a child answered.

    Attributes:
        value: what the function returned.
        error: what it raised instead, with the child's traceback as a note.
    """

    value: Any
    error: Exception | None = None

    def unwrap(self) -> Any:
        """Returns the value or raises the error."""
        if self.error is not None:
            raise self.error
        return self.value


class Child:
    """A child process that calls functions, one at a time.

    It dies with the thread that started it, so start it from one that lives as long.

    Args:
        name: what the pool is called, for the process list and for errors.
        memory_bytes: how much address space it may have; 0 for no limit of its own.
        first_call: a pickled (function, arguments); the child has started when it is answered.
        result_bytes: a larger answer is not taken in.

    Raises:
        NoProcess: it could not be started, the first call failed or took too long.
    """

    def __init__(self, name: str, memory_bytes: int, first_call: bytes, result_bytes: int) -> None:
        self._name = name
        self._result_bytes = result_bytes
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "formatter.pool_process"),
                        *(name, str(theirs.fileno()), str(memory_bytes)),
                    ],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    # What this process can import the child can import.
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    # Of its own, so that what a stage starts in it can be ended with it.
                    process_group=0,
                )
        except OSError as error:
            self._socket.close()
            raise NoProcess(f"{name}: no process could be started: {error}") from error
        except BaseException:
            self._socket.close()
            raise
        try:
            self.ask(first_call, START_SECONDS).unwrap()
        except Exception as error:
            self.end()
            raise NoProcess(f"{self}: did not start: {error}") from error
        except BaseException:
            self.end()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ask(self, request: bytes, seconds: float) -> Answer:
        """Has the child make one call.

        Whatever is raised here, the child may still answer later: end it.

        Args:
            request: a pickled (function, arguments).
            seconds: how long it may take.

        Raises:
            DeadlineExceeded: it took longer.
            ProcessDied: it ended before it answered.
            ResultTooLarge: its answer is not taken in.
        """
        deadline = time.monotonic() + seconds
        self._socket.settimeout(seconds)
        try:
            self._socket.sendall(HEADER.pack(REQUEST, len(request)) + request)
        except TimeoutError:
            raise DeadlineExceeded(f"{self}: took no call for {seconds:g} s") from None
        except OSError:
            raise self._death() from None
        return self._receive(deadline)

    def kill(self) -> None:
        """Kills the process and what it started in its group, if it still runs."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kills the process and waits for its end; does nothing the second time."""
        self.kill()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            logger.error("%s: was killed and has not ended for %g s", self, END_SECONDS)
        self._socket.close()

    def __str__(self) -> str:
        return f"{self._name} process {self._process.pid}"

    def _receive(self, deadline: float) -> Answer:
        received = bytearray()
        expected = HEADER.size
        kind = b""
        while len(received) < expected:
            received += self._receive_piece(deadline)
            if not kind and len(received) >= HEADER.size:
                kind, length = HEADER.unpack_from(received)
                if length > self._result_bytes:
                    raise ResultTooLarge(
                        f"{self}: a result of {length} bytes; return at most {self._result_bytes}"
                    )
                expected += length
        body = pickle.loads(memoryview(received)[HEADER.size :])
        if kind != ERROR:
            return Answer(body)
        error, where = body
        error.add_note(f"In {self}:\n{where}")
        return Answer(None, error)

    def _receive_piece(self, deadline: float) -> bytes:
        left = deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            piece = self._socket.recv(_PIECE_BYTES)
        except TimeoutError:
            raise DeadlineExceeded(f"{self}: no answer in time; it was killed") from None
        except OSError:
            piece = b""
        if not piece:
            raise self._death()
        return piece

    def _death(self) -> ProcessDied:
        """The error to raise when the socket is at its end: the process ends, or has let go."""
        try:
            returncode: int | None = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            returncode = None
        return ProcessDied(str(self), returncode)
