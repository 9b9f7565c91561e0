#!/opt/venv/bin/python
"""Ends with 0 when a relay holds the lease: this one, or the one for which it stands by."""

import sys

from pushgate import Keys, Settings, connect
from pushgate.leases import RELAY


def main() -> int:
    """Ask Redis."""
    settings = Settings.from_environment()
    if connect(settings.redis_url).exists(Keys(settings.namespace).lease(RELAY)):
        return 0
    print("no relay holds the lease")
    return 1


if __name__ == "__main__":
    sys.exit(main())
