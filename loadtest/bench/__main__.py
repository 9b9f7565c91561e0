"""`make bench`: every benchmark in turn, on the system that runs or on one started for it.

python -m loadtest.bench                    all of them
python -m loadtest.bench answer_to_frame    those that are named
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping

from loadtest.bench.answer_to_frame import answer_to_frame
from loadtest.bench.hooks import hooks
from loadtest.bench.machine import machine_facts
from loadtest.bench.outbox_relay import outbox_relay
from loadtest.bench.table import Table
from loadtest.errors import LoadTestError
from loadtest.target import Target, running_or_own
from stack.errors import StackError
from stack.output import say

BENCHMARKS: Mapping[str, Callable[[Target], Table]] = {
    "answer_to_frame": answer_to_frame,
    "hooks": hooks,
    "outbox_relay": outbox_relay,
}


def main(arguments: list[str]) -> int:
    """Run benchmarks and print their tables.

    Returns:
        The exit status: 0 when all could be run.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench", description="Benchmarks.")
    parser.add_argument("names", nargs="*", help=f"all when none is named: {', '.join(BENCHMARKS)}")
    names = parser.parse_args(arguments).names or list(BENCHMARKS)
    try:
        unknown = [name for name in names if name not in BENCHMARKS]
        if unknown:
            raise LoadTestError(
                f"{unknown[0]}: no such benchmark; there are {', '.join(BENCHMARKS)}"
            )
        say(machine_facts())
        with running_or_own(os.environ) as target:
            for name in names:
                say(f"\n{BENCHMARKS[name](target)}")
    except (LoadTestError, StackError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
