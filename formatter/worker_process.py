"""One worker process: put together, run until it is told to stop, and taken apart in time."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import gevent

from formatter import logs
from formatter.append_only_file import AppendOnlyFile
from formatter.attempt import Attempts
from formatter.metrics import Metrics, registry_of
from formatter.metrics_server import Address, MetricsServer
from formatter.observers import Observer
from formatter.process_pool import ProcessPool, use
from formatter.publishers import Publishers, load_publishers
from formatter.registry import load_pipelines
from formatter.sandbox import SANDBOX_MEMORY_BYTES, Sandbox
from formatter.tracing import Tracing
from formatter.tracing_setup import TracingUnavailable, tracing_of
from formatter.watchdog import Watchdog
from formatter.worker import Worker
from pushgate import Keys, RedisJobQueue, Settings, connect
from pushgate.positions import Positions

logger = logging.getLogger("formatter")

GIVE_UP_SECONDS = 9.5
"""How long after SIGTERM the process ends whatever it waits for, a Redis that is gone say: its
leases run out by themselves. Below `processes.STOP_SECONDS`, at which the parent kills it."""

HEAVY_PROCESSES = max(1, (os.cpu_count() or 1) - 1)
"""Heavy stages that a worker runs side by side; one core is for its event loop."""


PUBLISHERS_SECONDS = 1.0
"""What sendings under way have left when the worker has drained, which took them along."""


def run_worker(
    module_name: str, settings: Settings, metrics: Address | None = None, log_form: str = "text"
) -> int:
    """Works the queue until SIGTERM or SIGINT; returns the exit status.

    Args:
        module_name: what `--pipelines` says.
        settings: where the queue is.
        metrics: where to serve them; None: nowhere, and nothing is counted.
        log_form: how its other processes log: one of `logs.FORMS`.

    Raises:
        PushgateError: a setting is wrong, or the metrics' address is taken.
    """
    pipelines = load_pipelines(module_name)
    publishers = load_publishers(module_name)
    client, keys = connect(settings.redis_url), Keys(settings.namespace)
    queue = RedisJobQueue(client, keys, settings.partitions)
    log_in_child = partial(logs.configure, log_form, settings.partitions)
    tracing = _tracing(settings)
    counted = Metrics() if metrics is not None else None
    observers: list[Observer] = [o for o in (tracing, counted) if o is not None]
    watchdog = Watchdog()
    with ExitStack() as at_the_end:
        pool = ProcessPool(
            HEAVY_PROCESSES,
            name="heavy stages",
            memory_bytes=SANDBOX_MEMORY_BYTES,
            prepare=partial(_prepare_child, log_in_child, module_name),
        )
        at_the_end.callback(pool.close)
        use(pool)
        sandbox = Sandbox(module_name, prepare=log_in_child)
        at_the_end.callback(sandbox.close)
        attempts = Attempts(pipelines, observers, sandbox)
        worker = Worker(queue, attempts, on_turn=watchdog.turn)
        following = Publishers(
            publishers, queue.leases, Positions(client, keys), worker.owner, attempts.audience
        )
        if tracing is not None:
            at_the_end.callback(tracing.shut_down)
        if metrics is not None and counted is not None:
            server = MetricsServer(metrics, registry_of(counted, worker))
            server.start()
            at_the_end.callback(server.stop)
        for name in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(name, _stop, worker, following)
        watchdog.start()
        at_the_end.callback(watchdog.stop)
        file = AppendOnlyFile(client, keys)
        file.start()
        at_the_end.callback(file.stop)
        following.start()
        at_the_end.callback(following.stop, PUBLISHERS_SECONDS)
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


def _prepare_child(configure_log: Callable[[], object], module_name: str) -> None:
    configure_log()
    load_pipelines(module_name)


def _stop(worker: Worker, following: Publishers) -> None:
    worker.stop()
    following.leave()
    gevent.spawn_later(GIVE_UP_SECONDS, _give_up)


def _give_up() -> None:
    logger.warning("not everything could be given back in time; its leases run out by themselves")
    logging.shutdown()
    os._exit(0)
