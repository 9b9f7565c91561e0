"""`python -m formatter --pipelines mysite.pipelines`: works the job queue until it is stopped."""

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402  (everything below must see the patched modules)
import logging  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402

import gevent  # noqa: E402

from formatter.attempt import Attempts  # noqa: E402
from formatter.process_pool import ProcessPool, use  # noqa: E402
from formatter.processes import die_with_parent, run_processes  # noqa: E402
from formatter.registry import load_pipelines  # noqa: E402
from formatter.sandbox import Sandbox  # noqa: E402
from formatter.watchdog import Watchdog  # noqa: E402
from formatter.worker import Worker  # noqa: E402
from pushgate import Keys, PushgateError, RedisJobQueue, Settings, connect  # noqa: E402

CHILD = "PUSHGATE_FORMATTER_CHILD"
"""Set for the processes that a parent with `--processes` starts."""

HEAVY_PROCESSES = max(1, (os.cpu_count() or 1) - 1)
"""Heavy stages that a worker runs side by side; one core is for its event loop."""


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line; ends the process with 2 and a sentence when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m formatter", description=__doc__)
    parser.add_argument(
        "--pipelines",
        required=True,
        metavar="MODULE",
        help="module with pipelines = {'comment.': CommentPipeline}",
    )
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="how many workers (default 1)"
    )
    parsed = parser.parse_args(arguments)
    if not 1 <= parsed.processes <= 256:
        parser.error(f"--processes {parsed.processes}: use 1 to 256")
    return parsed


def main(arguments: Sequence[str]) -> int:
    """Runs a worker, or the parent of several; returns the exit status."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    parsed = parse_arguments(arguments)
    try:
        pipelines = load_pipelines(parsed.pipelines)
        settings = Settings.from_environment()
        if parsed.processes > 1:
            os.environ[CHILD] = "1"
            command = [sys.executable, "-m", "formatter", "--pipelines", parsed.pipelines]
            return run_processes(command, parsed.processes)
        queue = RedisJobQueue(
            connect(settings.redis_url), Keys(settings.namespace), settings.partitions
        )
    except PushgateError as error:
        print(f"formatter: {error}", file=sys.stderr)
        return 2
    if CHILD in os.environ:
        die_with_parent()
    pool = ProcessPool(HEAVY_PROCESSES, name="heavy stages")
    use(pool)
    sandbox = Sandbox(parsed.pipelines)
    watchdog = Watchdog()
    worker = Worker(queue, Attempts(pipelines, sandbox=sandbox), on_turn=watchdog.turn)
    gevent.signal_handler(signal.SIGTERM, worker.stop)
    gevent.signal_handler(signal.SIGINT, worker.stop)
    watchdog.start()
    try:
        worker.run()
    finally:
        watchdog.stop()
        sandbox.close()
        pool.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
