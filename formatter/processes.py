"""Several workers on one machine: a parent that starts one process for each and replaces those that
die. The parent does no work of its own and speaks to nobody.
"""

from __future__ import annotations

import ctypes
import logging
import signal
import subprocess
import time
from collections.abc import Sequence

logger = logging.getLogger("formatter")

LOOK_SECONDS = 0.2
STOP_SECONDS = 10.0

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal a process gets when its parent dies."""


def die_with_parent(death_signal: signal.Signals = signal.SIGTERM) -> None:
    """Has the kernel end this process when the one that started it dies, however it dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(death_signal))


def run_processes(command: Sequence[str], processes: int) -> int:
    """Runs `processes` copies of a command until SIGTERM or SIGINT; replaces those that die.

    Returns:
        0 when all ended in time after the signal, 1 when some had to be killed.
    """
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    children = [subprocess.Popen(command) for _ in range(processes)]
    while not stopping:
        time.sleep(LOOK_SECONDS)
        for place, child in enumerate(children):
            if child.poll() is not None and not stopping:
                logger.error("worker process %d ended with %s", child.pid, child.returncode)
                children[place] = subprocess.Popen(command)
    for child in children:
        child.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    killed = 0
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            killed += 1
    return 1 if killed else 0
