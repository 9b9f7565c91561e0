"""What `check-config` does: says everything that is wrong at once, before the formatter starts."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from formatter.logs import escape
from formatter.metrics_server import Address, why
from formatter.pipelines_check import Findings, check_pipelines
from formatter.redis_check import check_redis
from formatter.tracing_setup import TracingUnavailable, check_tracing
from pushgate import InvalidSetting, Keys, Settings, connect


def check_configuration(
    pipelines: str,
    processes: int = 1,
    metrics: Address | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Prints what was found, one sentence a line.

    Args:
        pipelines: the module's name.
        processes: how many there are to be.
        metrics: where the first of them is to serve its metrics.
        environment: where the settings are; the process's own when not given.

    Returns:
        1 when something is wrong, else 0; a warning alone is not wrong.
    """
    environment = os.environ if environment is None else environment
    findings = Findings()
    check_pipelines(pipelines, findings)
    _check_settings(environment, processes, findings)
    if metrics is not None:
        _check_ports(metrics, processes, findings)
    try:
        check_tracing(environment)
    except TracingUnavailable as error:
        findings.warnings.append(f"no spans are made: {error}")
    problems = list(dict.fromkeys(findings.problems))
    warnings = list(dict.fromkeys(findings.warnings))
    for problem in problems:
        print(f"wrong: {escape(problem)}")
    for warning in warnings:
        print(f"warning: {escape(warning)}")
    if not problems and not warnings:
        print("all is well")
    return 1 if problems else 0


def _check_settings(environment: Mapping[str, str], processes: int, findings: Findings) -> None:
    try:
        settings = Settings.from_environment(environment)
    except InvalidSetting as error:
        findings.problems.append(str(error))
        return
    if processes > settings.partitions:
        findings.warnings.append(
            f"--processes {processes}: there are {settings.partitions} partitions, so "
            f"{processes - settings.partitions} of the processes would only stand by"
        )
    try:
        keys = Keys(settings.namespace)
        client = connect(settings.redis_url)
    except InvalidSetting as error:
        findings.problems.append(str(error))
        return
    with client:
        check_redis(client, keys, settings.partitions, findings)


def _check_ports(metrics: Address, processes: int, findings: Findings) -> None:
    for place in range(processes):
        address = metrics.of_process(place)
        try:
            with socket.create_server(
                (address.host, address.port),
                family=socket.AF_INET6 if ":" in address.host else socket.AF_INET,
            ):
                pass
        except OSError as error:
            findings.problems.append(f"--metrics {address}: cannot listen there: {why(error)}")
