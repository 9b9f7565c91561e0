"""Lines for whoever watches `make run`."""

import sys
from contextlib import suppress
from typing import TextIO


def say(line: str, to: TextIO | None = None) -> None:
    """Write a line at once; a reader or terminal that has gone away is no reason to stop."""
    with suppress(OSError):
        print(line, file=to or sys.stdout, flush=True)
