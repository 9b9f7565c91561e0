"""`python -m tests.integration.under_gevent MODULE FUNCTION ARGUMENT...`: calls a function in a
process that gevent has patched, as the worker is.
"""

import sys


def under_gevent(function: str, *arguments: str) -> list[str]:
    """The command line that calls `module:function`."""
    return [sys.executable, "-m", __name__, *function.split(":"), *arguments]


def main() -> None:
    """Patches, then calls."""
    from gevent import monkey

    monkey.patch_all()

    import logging
    from importlib import import_module

    logging.basicConfig(level=logging.INFO)
    getattr(import_module(sys.argv[1]), sys.argv[2])(*sys.argv[3:])


if __name__ == "__main__":
    main()
