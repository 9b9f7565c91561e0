#!/opt/venv/bin/python
"""Ends with 0 when Redis has just heard from a formatter process of this container."""

import socket
import sys

from pushgate import Keys, Settings, connect
from pushgate.leases import LEASE_SECONDS


def main() -> int:
    """Ask Redis by its own clock."""
    settings = Settings.from_environment()
    client = connect(settings.redis_url)
    seconds, microseconds = client.time()
    oldest_ms = (seconds - LEASE_SECONDS) * 1000 + microseconds / 1000
    owners = client.zrangebyscore(Keys(settings.namespace).workers, oldest_ms, "+inf")
    # See formatter.worker.new_owner.
    host = f"{socket.gethostname()}-".encode()
    if any(owner.startswith(host) for owner in owners):
        return 0
    print(f"no formatter of {host.decode()[:-1]} in the last {LEASE_SECONDS:g} s")
    return 1


if __name__ == "__main__":
    sys.exit(main())
