"""When a run takes itself as told to stop by what its parent does."""

import signal
import subprocess
import sys

from stack.platform import REPOSITORY

CHILD = """
import sys
from stack.stop_signals import StopSignals, ToldToStop
signals = StopSignals()
for line in sys.stdin:
    try:
        signals.check_parent()
    except ToldToStop:
        print("told", flush=True)
    else:
        print("not told", flush=True)
"""


def test_a_parent_that_blocks_signals_for_a_moment_tells_nothing() -> None:
    """Every process blocks all of them while it starts another; only make means something by it."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        print("look", file=child.stdin, flush=True)
        assert child.stdout.readline() == "not told\n"
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
        try:
            print("look", file=child.stdin, flush=True)
            assert child.stdout.readline() == "not told\n"
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        child.stdin.close()
