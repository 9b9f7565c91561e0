"""One worker process: put together, run until it is told to stop, and taken apart in time."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import ExitStack

import gevent

from formatter.attempt import Attempts
from formatter.metrics import Metrics, registry_of
from formatter.metrics_server import Address, MetricsServer
from formatter.observers import Observer
from formatter.process_pool import ProcessPool, use
from formatter.registry import load_pipelines
from formatter.sandbox import Sandbox
from formatter.tracing import Tracing
from formatter.tracing_setup import TracingUnavailable, tracing_of
from formatter.watchdog import Watchdog
from formatter.worker import Worker
from pushgate import Keys, RedisJobQueue, Settings, connect

logger = logging.getLogger("formatter")

GIVE_UP_SECONDS = 9.5
"""How long after SIGTERM the process ends whatever it waits for, a Redis that is gone say: its
leases run out by themselves. Below `processes.STOP_SECONDS`, at which the parent kills it."""


HEAVY_PROCESSES = max(1, (os.cpu_count() or 1) - 1)
"""Heavy stages that a worker runs side by side; one core is for its event loop."""


def run_worker(module_name: str, settings: Settings, metrics: Address | None) -> int:
    """Works the queue until SIGTERM or SIGINT; returns the exit status.

    Args:
        module_name: what `--pipelines` says.
        settings: where the queue is.
        metrics: where to serve them; None: nowhere, and nothing is counted.

    Raises:
        PushgateError: a setting is wrong, or the metrics' address is taken.
    """
    pipelines = load_pipelines(module_name)
    queue = RedisJobQueue(
        connect(settings.redis_url), Keys(settings.namespace), settings.partitions
    )
    tracing = _tracing(settings)
    counted = Metrics() if metrics is not None else None
    observers: list[Observer] = [o for o in (tracing, counted) if o is not None]
    watchdog = Watchdog()
    with ExitStack() as at_the_end:
        pool = ProcessPool(HEAVY_PROCESSES, name="heavy stages")
        at_the_end.callback(pool.close)
        use(pool)
        sandbox = Sandbox(module_name)
        at_the_end.callback(sandbox.close)
        worker = Worker(queue, Attempts(pipelines, observers, sandbox), on_turn=watchdog.turn)
        if tracing is not None:
            at_the_end.callback(tracing.shut_down)
        if metrics is not None and counted is not None:
            server = MetricsServer(metrics, registry_of(counted, worker))
            server.start()
            at_the_end.callback(server.stop)
        gevent.signal_handler(signal.SIGTERM, _stop, worker)
        gevent.signal_handler(signal.SIGINT, _stop, worker)
        watchdog.start()
        at_the_end.callback(watchdog.stop)
        worker.run()
    return 0


def _tracing(settings: Settings) -> Tracing | None:
    try:
        return tracing_of(settings.namespace, settings.partitions)
    except TracingUnavailable as error:
        # Where a platform sets OpenTelemetry's variables for everything that runs on it, events
        # are to be formatted all the same.
        logger.warning("no spans are made: %s", error)
        return None


def _stop(worker: Worker) -> None:
    worker.stop()
    gevent.spawn_later(GIVE_UP_SECONDS, _give_up)


def _give_up() -> None:
    logger.warning("not everything could be given back in time; its leases run out by themselves")
    logging.shutdown()
    os._exit(0)
