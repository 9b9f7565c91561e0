"""How much CPU time the parts of a system have used, from the kernel's own books."""

from __future__ import annotations

from pathlib import Path

import psutil

from stack.parts import NAMES


def cpu_seconds(state_dir: Path) -> dict[str, float]:
    """Return user and system seconds of each part, its child processes counted in.

    Args:
        state_dir: where `<part>.pid` are. A part that does not run is left out.
    """
    found = {}
    for name in NAMES:
        try:
            pid = int((state_dir / f"{name}.pid").read_text(encoding="ascii"))
            parent = psutil.Process(pid)
            family = [parent, *parent.children(recursive=True)]
            found[name] = sum(_of_one(process) for process in family)
        except (OSError, ValueError, psutil.Error):
            continue
    return found


def _of_one(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
