"""The commands of `python -m formatter`: run, describe, check-config."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from formatter import logs
from formatter.configuration_check import check_configuration
from formatter.description import describe
from formatter.metrics_server import Address
from formatter.processes import MOST_PROCESSES, place_of_child, run_processes
from formatter.publishers import load_publishers
from formatter.registry import load_pipelines
from formatter.worker_process import run_worker
from pushgate import PushgateError, Settings

logger = logging.getLogger("formatter")

COMMANDS = {
    "run": "works the job queue until SIGTERM; what is done when no command is given",
    "describe": "prints the pipelines, their stages and which mixins run in them",
    "check-config": "says what is wrong with settings, pipelines and Redis; ends with 1 if so",
}

WRONG_USE = 2
"""The exit status after a wrong command line, setting or module."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says, or the environment where it is silent.

    Attributes:
        command: one of `COMMANDS`.
        pipelines: the module's name.
        processes: how many workers.
        metrics: where the first of them serves its metrics; None: nowhere.
        log: one of `logs.FORMS`.
    """

    command: str
    pipelines: str
    processes: int = 1
    metrics: Address | None = None
    log: str = "text"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"formatter: {message}; python -m formatter --help says more\n")


def parse_arguments(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> Options:
    """Reads the command line; ends the process with 2 and a sentence when it is wrong."""
    environment = os.environ if environment is None else environment
    parser = _Parser(
        prog="python -m formatter",
        description="Turns events into frames. Commands: "
        + "; ".join(f"{name} ({what})" for name, what in COMMANDS.items())
        + ".",
        allow_abbrev=False,
    )
    parser.add_argument("command", nargs="?", default="run", metavar="COMMAND", help="see above")
    parser.add_argument(
        "--pipelines",
        metavar="MODULE",
        help="module with pipelines = {'comment.': CommentPipeline}; needed",
    )
    parser.add_argument(
        "--processes", default="1", metavar="N", help="how many workers (default 1)"
    )
    parser.add_argument(
        "--metrics",
        default=environment.get("PUSHGATE_METRICS", ""),
        metavar="HOST:PORT",
        help="serve Prometheus metrics there, process k on PORT+k (default PUSHGATE_METRICS, "
        "else nowhere)",
    )
    parser.add_argument(
        "--log",
        default=environment.get("PUSHGATE_LOG") or "text",
        metavar="FORM",
        help="text or json, a line for each record (default PUSHGATE_LOG, else text)",
    )
    return _checked(parser, parser.parse_intermixed_args(arguments))


def _checked(parser: _Parser, parsed: argparse.Namespace) -> Options:
    if parsed.command not in COMMANDS:
        parser.error(f"there is no command {parsed.command!r}: use {', '.join(COMMANDS)}")
    if not parsed.pipelines:
        parser.error("--pipelines is missing: name the module that has the pipelines")
    digits: str = parsed.processes
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        parser.error(f"--processes {digits!r}: use a whole number from 1 to {MOST_PROCESSES}")
    if not 1 <= int(digits) <= MOST_PROCESSES:
        parser.error(f"--processes {digits}: use 1 to {MOST_PROCESSES}")
    if parsed.log not in logs.FORMS:
        parser.error(f"--log {parsed.log!r}: use {' or '.join(logs.FORMS)}")
    metrics = None
    if parsed.metrics:
        try:
            metrics = Address.parse(parsed.metrics)
        except ValueError as error:
            parser.error(f"--metrics {error}")
        last = metrics.port + int(digits) - 1
        if last > 65535:
            parser.error(f"--metrics {parsed.metrics}: {digits} processes need ports up to {last}")
    return Options(parsed.command, parsed.pipelines, int(digits), metrics, parsed.log)


def main(arguments: Sequence[str]) -> int:
    """Does what the command line says; returns the exit status."""
    place = place_of_child()
    options = parse_arguments(arguments)
    if options.command == "check-config":
        return check_configuration(options.pipelines, options.processes, options.metrics)
    try:
        if options.command == "describe":
            print(describe(options.pipelines), end="")
            return 0
        return _run(options, arguments, place)
    except PushgateError as error:
        print(f"formatter: {logs.escape(str(error))}", file=sys.stderr)
        return WRONG_USE


def _run(options: Options, arguments: Sequence[str], place: int | None) -> int:
    settings = Settings.from_environment()
    logs.configure(options.log, settings.partitions)
    if options.processes > 1 and place is None:
        if options.processes > settings.partitions:
            logger.warning(
                "%d processes share %d partitions: the rest only stand by",
                *(options.processes, settings.partitions),
            )
        # What is wrong with it is said once, and not by each of them.
        load_pipelines(options.pipelines)
        load_publishers(options.pipelines)
        return run_processes(arguments, options.processes)
    metrics = options.metrics.of_process(place or 0) if options.metrics is not None else None
    return run_worker(options.pipelines, settings, metrics, options.log)
