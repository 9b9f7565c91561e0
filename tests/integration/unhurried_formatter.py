"""`python -m tests.integration.unhurried_formatter`: the formatter with leases so long that it
keeps them however busy the machine is. `UNHURRIED` is what a test starts.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

UNHURRIED = "tests.integration.unhurried_formatter"

LEASE_SECONDS = 300.0


def main() -> int:
    """Puts the formatter together as its own `main` does, with other leases."""
    # The first import: it patches.
    entry: Any = import_module("formatter.__main__")
    leases: Any = import_module("pushgate.leases").Leases
    for method in (leases.acquire, leases.renew, leases.renew_all, leases.attend):
        method.__defaults__ = (LEASE_SECONDS,)
    status: int = entry.main(sys.argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
