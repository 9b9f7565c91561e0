"""Being told to stop: by a signal, by the terminal going away, or by `make` being told."""

import ctypes
import os
import signal
from pathlib import Path
from types import FrameType
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


class ToldToStop(BaseException):
    """We were told to stop; like KeyboardInterrupt no error, so not an Exception."""


class StopSignals:
    """Turns the first signal to stop into ToldToStop, raised wherever the main thread is.

    A parent that dies tells us too: `make` killed with -9, for instance.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._parent_is_make = _name(self._parent) in ("make", "gmake")
        self._blocked_by_parent = _blocked_signals(self._parent)
        for number in self._SIGNALS:
            # Under nohup a terminal that goes away is meant to tell us nothing.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._tell)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    def ignore(self) -> None:
        """Ignore further signals: we are stopping already."""
        for number in self._SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def check_parent(self) -> None:
        """Look whether our parent was told to stop and waits for us.

        GNU make passes SIGTERM on, but of a SIGINT or SIGHUP it thinks that the terminal sent it to
        us as well. While it waits for our end it blocks the signal, and that shows. Other parents
        are not looked at: many block all signals for the moment in which they start a process.

        Raises:
            ToldToStop: it was.
        """
        if os.getppid() != self._parent:
            raise ToldToStop
        if not self._parent_is_make:
            return
        newly_blocked = _blocked_signals(self._parent) & ~self._blocked_by_parent
        if any(newly_blocked & 1 << (number - 1) for number in (signal.SIGINT, signal.SIGHUP)):
            raise ToldToStop

    def _tell(self, number: int, frame: FrameType | None) -> NoReturn:
        self.ignore()
        raise ToldToStop


def _name(pid: int) -> str:
    """Return a process' name, or "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _blocked_signals(pid: int) -> int:
    """Return the signals that a process blocks, as a bit mask."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    for line in lines.splitlines():
        if line.startswith("SigBlk:"):
            return int(line.split()[1], 16)
    return 0
