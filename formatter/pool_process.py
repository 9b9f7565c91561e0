"""What runs in a child of `formatter.process_pool`: calls functions for its parent, one at a time.

Started as `python -m formatter.pool_process NAME DESCRIPTOR MEMORY_BYTES`, with a socket to its
parent as DESCRIPTOR. Both sides write a header (kind, length) and a pickle. The parent sends
(function, arguments), a function by the names of its module and itself; the child answers with the
result, or with what the function raised and where. Nothing is patched for gevent here: what waits,
waits.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from formatter.errors import TransientError
from formatter.processes import die_with_parent

HEADER = struct.Struct("!cQ")
"""The kind of what follows, and how many bytes it has."""

REQUEST, RESULT, ERROR = b"?", b"=", b"!"

PICKLE_PROTOCOL = 5

NICENESS = 10
"""Where there are more processes than cores, the worker's event loop goes first."""


def main(arguments: Sequence[str]) -> None:
    """Serves the parent until it closes the socket or dies."""
    # The parent alone ends its children: while it is stopping, calls still run to their end.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(signal.SIGKILL)
    _, descriptor, memory_bytes = arguments
    os.nice(NICENESS)
    _limit(resource.RLIMIT_CORE, 0)
    if int(memory_bytes):
        _limit(resource.RLIMIT_AS, int(memory_bytes))
    with suppress(OSError):
        # When the machine has no memory left, the kernel takes this process and not another.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    faulthandler.enable()
    with socket.socket(fileno=int(descriptor)) as parent:
        parent.set_inheritable(False)
        # A parent under gevent has made it anything but.
        parent.setblocking(True)
        while True:
            request = _receive(parent)
            if request is None:
                return
            parent.sendall(_answer(request))


def begin(prepare: Callable[[], object] | None) -> None:
    """The first call of every child; its answer says that the child is there."""
    if prepare is not None:
        prepare()


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(what, (most, most))


def _answer(request: bytes) -> bytes:
    """Makes the call and its whole answer. What ends a process, `sys.exit` say, ends this one."""
    kind = RESULT
    try:
        function, arguments = pickle.loads(request)
        body = pickle.dumps(function(*arguments), PICKLE_PROTOCOL)
    except Exception as error:
        kind = ERROR
        if isinstance(error, MemoryError):
            # What its frames still hold is what there is no more of.
            traceback.clear_frames(error.__traceback__)
        body = _pickled_error(error)
    return HEADER.pack(kind, len(body)) + body


def _pickled_error(error: Exception) -> bytes:
    """What the parent raises: the error itself, or one that says the same if it cannot travel."""
    where = "".join(traceback.format_exception(error))
    try:
        body = pickle.dumps((error, where), PICKLE_PROTOCOL)
        pickle.loads(body)
    except Exception:
        kind = TransientError if isinstance(error, TransientError) else RuntimeError
        body = pickle.dumps((kind(f"{type(error).__name__}: {error}"), where), PICKLE_PROTOCOL)
    return body


def _receive(parent: socket.socket) -> bytes | None:
    """The next request; None when the parent has closed the socket."""
    header = parent.recv(HEADER.size, socket.MSG_WAITALL)
    if len(header) < HEADER.size:
        return None
    _, length = HEADER.unpack(header)
    body = bytearray()
    while len(body) < length:
        piece = parent.recv(length - len(body))
        if not piece:
            return None
        body += piece
    return bytes(body)


if __name__ == "__main__":
    main(sys.argv[1:])
