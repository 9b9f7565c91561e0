"""`python -m tests.integration.hasty_formatter`: the formatter with the times cut short that a test
of worker deaths waits for: leases, watchdog, sandbox. `HASTY` is what a test starts.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from typing import Any

HASTY = "tests.integration.hasty_formatter"

LEASE_SECONDS = 0.8
FROZEN_SECONDS = 0.7
"""Of processor time; by the clock the watchdog waits three times as long."""
SANDBOX_CPU_SECONDS = 2


def main() -> int:
    """Puts the formatter together as its own `main` does, with other times."""
    # The first import: it patches.
    entry: Any = import_module("formatter.__main__")
    attempt: Any = import_module("formatter.attempt")
    process: Any = import_module("formatter.worker_process")
    worker: Any = import_module("formatter.worker")
    leases: Any = import_module("pushgate.leases").Leases
    attempt.STUBBORN_SECONDS = FROZEN_SECONDS
    worker.RENEW_SECONDS = LEASE_SECONDS / 3
    for method in (leases.acquire, leases.renew, leases.renew_all, leases.attend):
        method.__defaults__ = (LEASE_SECONDS,)
    process.Watchdog = partial(process.Watchdog, FROZEN_SECONDS)
    process.Sandbox = partial(process.Sandbox, cpu_seconds=SANDBOX_CPU_SECONDS)
    status: int = entry.main(sys.argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
