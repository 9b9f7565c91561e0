#!/usr/bin/env python3
"""Django's command line for the example site; runs from any folder."""

import os
import sys
from pathlib import Path


def main() -> None:
    """Put the checkout's root on the path in place of this folder and run the command."""
    root = str(Path(__file__).resolve().parent.parent)
    sys.path[:] = [root, *(entry for entry in sys.path[1:] if entry != root)]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_site.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
