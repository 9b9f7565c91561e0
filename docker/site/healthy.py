#!/opt/venv/bin/python
"""Ends with 0 when the site's first page is served."""

import http.client
import os
import sys


def main() -> int:
    """Ask for the page under a name that the site answers to."""
    names = (os.environ.get("SITE_HOSTS") or "localhost").split()
    # ".example.org" stands for example.org too; "*" for any name.
    host = names[0].lstrip(".").replace("*", "localhost")
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=4)
    connection.request("GET", "/", headers={"Host": host})
    status = connection.getresponse().status
    if status == 200:
        return 0
    print(f"GET / of {host} answered {status}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
