"""What the figures were measured on, in one line."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import psutil

from stack.errors import StackError
from stack.platform import Platform, debian_release

MEASURED = ("django", "gevent", "redis", "celery", "dramatiq", "rq")


def machine_facts(packages: Sequence[str] = MEASURED) -> str:
    """Return cores, processor, kernel and the versions of what is measured.

    Args:
        packages: the Python packages among that.
    """
    return ", ".join(
        [
            f"{os.cpu_count()} cores ({_processor()})",
            f"Linux {platform.release()}",
            f"Debian {debian_release(Path('/')) or '?'}",
            *_server_versions(),
            f"Python {platform.python_version()}",
            *(f"{name} {version(name)}" for name in packages),
        ]
    )


def kept_busy_by_others(seconds: float = 1.0) -> str:
    """Return a sentence on who else is at work: times on the wall hold on an idle machine alone."""
    psutil.cpu_percent()
    time.sleep(seconds)
    cores = os.cpu_count() or 1
    busy = psutil.cpu_percent() / 100 * cores
    return f"Before it began, {busy:.1f} of {cores} cores were busy with something else."


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _server_versions() -> list[str]:
    try:
        found = Platform.find()
    except StackError:
        return []
    nginx = _first_line(*found.nginx_command, "-v").rpartition("/")[2].split()[0]
    redis = _first_line(*found.redis_server_command, "--version").partition("v=")[2].split()[0]
    return [f"nginx {nginx}", f"Redis {redis}"]


def _first_line(*command: str) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10, check=True
    )
    return done.stdout.splitlines()[0]
