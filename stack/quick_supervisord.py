"""supervisord that looks after its processes ten times a second.

By itself it does so once a second, and starts a process that has ended with the look after the one
that finds it: whoever waits for the part waits a second more. Run as a file, by `stack.supervisor`.
"""

import sys
from typing import Any

from supervisor import options, poller, supervisord

LOOK_SECONDS = 0.1

_usual_poller: Any = poller.Poller


def quick_poller(of: Any) -> Any:
    """What waits for output and questions, and not for long."""
    made = _usual_poller(of)
    wait = made.poll
    made.poll = lambda timeout: wait(min(timeout, LOOK_SECONDS))
    return made


if __name__ == "__main__":
    options.poller.Poller = quick_poller
    sys.exit(supervisord.main())
