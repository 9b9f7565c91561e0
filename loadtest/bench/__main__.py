"""`make bench`: every benchmark in turn, each on databases or on a system of its own.

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
from loadtest.bench.comment_pipeline import comment_pipeline
from loadtest.bench.enrichment import enrichment
from loadtest.bench.gateway.fan_out import fan_out
from loadtest.bench.gateway.frame_time import frame_time
from loadtest.bench.gateway.idle_subscribers import idle_subscribers
from loadtest.bench.gateway.resumption import resumption
from loadtest.bench.heavy_stage import heavy_stage
from loadtest.bench.hooks import hooks
from loadtest.bench.machine import machine_facts
from loadtest.bench.other_queues import other_queues
from loadtest.bench.outbox_relay import outbox_relay
from loadtest.bench.queue_worker import queue_worker
from loadtest.bench.table import Table
from loadtest.bench.worker_memory import worker_memory
from loadtest.errors import LoadTestError
from loadtest.target import Target, running_or_own
from stack.errors import StackError
from stack.output import say

ON_A_SYSTEM: Mapping[str, Callable[[Target], Table]] = {"answer_to_frame": answer_to_frame}
"""What drives all parts together: those that run already, or some started for it."""

ALONE: Mapping[str, Callable[[], Table]] = {
    "hooks": hooks,
    "outbox_relay": outbox_relay,
    "queue_worker": queue_worker,
    "comment_pipeline": comment_pipeline,
    "other_queues": other_queues,
    "heavy_stage": heavy_stage,
    "enrichment": enrichment,
    "worker_memory": worker_memory,
    "fan_out": fan_out,
    "idle_subscribers": idle_subscribers,
    "frame_time": frame_time,
    "resumption": resumption,
}
"""What measures one part on databases of its own."""

BENCHMARKS = (*ON_A_SYSTEM, *ALONE)


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
        on_a_system = [name for name in names if name in ON_A_SYSTEM]
        if on_a_system:
            with running_or_own(os.environ) as target:
                for name in on_a_system:
                    say(f"\n{ON_A_SYSTEM[name](target)}")
        for name in names:
            if name in ALONE:
                say(f"\n{ALONE[name]()}")
    except (LoadTestError, StackError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
