"""`make status`: each part, its pid and its state."""

import os
import sys

from stack.errors import StackError
from stack.output import say
from stack.parts import NAMES
from stack.settings import RunSettings
from stack.supervisor import Supervisor


def main() -> int:
    """Print one line a part.

    Returns:
        The exit status: 0 when all run.
    """
    try:
        supervisor = Supervisor(RunSettings.from_environment(os.environ).state_dir)
    except StackError as error:
        say(f"make status: {error}", sys.stderr)
        return 1
    all_run = True
    for name in NAMES:
        try:
            known = supervisor.state_of(name)
            pid, state = str(known.pid or "-"), known.state.lower()
        except StackError:
            pid, state = "-", "not running"
        all_run = all_run and state == "running"
        say(f"{name:<10} {pid:>8}  {state}")
    return 0 if all_run else 1


if __name__ == "__main__":
    sys.exit(main())
