"""`python -m pushgate`: the same as `pushgate`."""

import sys

from pushgate.command_line import main

if __name__ == "__main__":
    sys.exit(main())
