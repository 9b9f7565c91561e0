"""`python -m formatter` as people use it: its commands, its processes, its metrics and its log."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from pushgate import Event, Keys, RedisJobQueue, connect, read_ledger
from stack.platform import REPOSITORY, Platform
from stack.process import Process, free_port, wait_until
from stack.redis_server import RedisServer

PARTITIONS = 4
DEADLINE_SECONDS = 90
PIPELINES = ("--pipelines", "tests.integration.formatter_pipelines")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Formatters:
    """Formatter processes on a namespace of their own."""

    def __init__(self, redis_url: str, namespace: str, directory: Path) -> None:
        self.client: redis.Redis = connect(redis_url)
        self.keys = Keys(namespace)
        self.queue = RedisJobQueue(self.client, self.keys, PARTITIONS)
        self.environment = {
            **os.environ,
            "PUSHGATE_REDIS_URL": redis_url,
            "PUSHGATE_NAMESPACE": namespace,
            "PUSHGATE_PARTITIONS": str(PARTITIONS),
        }
        self._directory = directory
        self.started: list[Process] = []

    def start(self, *arguments: str, **environment: str) -> Process:
        """Starts `python -m formatter`."""
        process = Process(
            "formatter",
            (sys.executable, "-m", "formatter", *PIPELINES, *arguments),
            log=self._directory / f"formatter-{len(self.started)}.log",
            directory=REPOSITORY,
            environment={**self.environment, **environment},
        )
        process.start()
        self.started.append(process)
        return process

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command that ends by itself."""
        return subprocess.run(
            (sys.executable, "-m", "formatter", *arguments),
            cwd=REPOSITORY,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )

    def held(self) -> int:
        """How many partitions are held."""
        leases = [self.keys.lease(str(partition)) for partition in range(PARTITIONS)]
        found: Any = self.client.exists(*leases)
        return int(found)

    def wait_until_all_are_held(self) -> None:
        """Waits for the formatter to be at work."""
        wait_until(lambda: self.held() == PARTITIONS, DEADLINE_SECONDS, "all partitions are held")

    def work(self, *events: Event) -> None:
        """Puts events and waits until none is left."""
        for event in events:
            self.queue.put(event)
        wait_until(
            lambda: read_ledger(self.client, self.keys).queued == 0,
            DEADLINE_SECONDS,
            "the queue is empty",
        )


@pytest.fixture
def formatters(
    redis_server: RedisServer, redis_namespace: str, tmp_path: Path
) -> Iterator[Formatters]:
    """None is running yet."""
    formatters = Formatters(redis_server.url, redis_namespace, tmp_path)
    yield formatters
    for process in formatters.started:
        process.stop()
    formatters.client.close()


def free_ports(count: int) -> int:
    """The first of several neighbouring ports that nothing uses."""
    while True:
        first = free_port()
        if all(free_port() == first + further for further in range(1, count)):
            return first


def fetch(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
        body: bytes = response.read()
        return body.decode()


def answers(port: int) -> bool:
    try:
        return fetch(port, "/healthz") == "ok\n"
    except OSError:
        return False


def log_of(process: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.log.read_text().splitlines()]


def children_of(process: Process) -> list[int]:
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in found.split()]


def test_describe_prints_what_the_handbook_shows_and_needs_no_redis(
    formatters: Formatters,
) -> None:
    described = formatters.run(
        *("describe", "--pipelines", "example_site.pipelines"),
        PUSHGATE_REDIS_URL="redis://127.0.0.1:1/0",
    )
    assert (described.returncode, described.stderr) == (0, "")
    handbook = (REPOSITORY / "formatter/README.md").read_text()
    shown = handbook.split("python -m formatter describe --pipelines example_site.pipelines\n")[1]
    assert described.stdout == shown.split("```")[0]


def test_check_config_says_that_all_is_well(formatters: Formatters) -> None:
    port = free_ports(2)
    checked = formatters.run(
        *("check-config", "--pipelines", "example_site.pipelines"),
        *("--processes", "2", "--metrics", f"127.0.0.1:{port}"),
    )
    assert (checked.stdout, checked.stderr, checked.returncode) == ("all is well\n", "", 0)


def test_check_config_says_everything_that_is_wrong_at_once(formatters: Formatters) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        checked = formatters.run(
            *("check-config", "--pipelines", "no_such_site", "--metrics", address),
            PUSHGATE_NAMESPACE="Not A Namespace",
        )
    assert checked.returncode == 1
    assert checked.stdout.splitlines() == [
        "wrong: no_such_site: there is no such module; is the site's folder on PYTHONPATH?",
        "wrong: namespace 'Not A Namespace': use 1-63 of a-z 0-9 _ . -, beginning with a letter or "
        "digit",
        f"wrong: --metrics {address}: cannot listen there: Address already in use",
    ]


@pytest.mark.parametrize(
    ("environment", "beginning"),
    [
        ({"PUSHGATE_PARTITIONS": "many"}, "PUSHGATE_PARTITIONS 'many': use a whole number"),
        ({"PUSHGATE_REDIS_URL": "nowhere"}, "PUSHGATE_REDIS_URL 'nowhere': "),
        (
            {"PUSHGATE_REDIS_URL": "redis://127.0.0.1:1/0"},
            "PUSHGATE_REDIS_URL: Redis does not answer: ",
        ),
    ],
)
def test_check_config_reads_the_settings(
    environment: dict[str, str], beginning: str, formatters: Formatters
) -> None:
    checked = formatters.run("check-config", "--pipelines", "example_site.pipelines", **environment)
    assert checked.returncode == 1
    (line,) = checked.stdout.splitlines()
    assert line.startswith(f"wrong: {beginning}")


def test_warnings_alone_are_not_wrong(formatters: Formatters) -> None:
    checked = formatters.run(
        *("check-config", "--pipelines", "example_site.pipelines", "--processes", "6"),
        OTEL_TRACES_EXPORTER="otlp",
    )
    assert checked.returncode == 0
    assert checked.stdout.splitlines() == [
        "warning: --processes 6: there are 4 partitions, so 2 of the processes would only stand by",
        "warning: no spans are made: OTEL_TRACES_EXPORTER is set, but the exporter otlp_proto_http "
        "is not installed: pip install opentelemetry-exporter-otlp-proto-http, or unset it",
    ]


@pytest.mark.parametrize("command", ["run", "describe"])
def test_a_module_without_pipelines_is_refused_in_one_sentence(
    command: str, formatters: Formatters
) -> None:
    refused = formatters.run(command, "--pipelines", "no_such_site")
    assert refused.returncode == 2
    assert refused.stderr == (
        "formatter: --pipelines no_such_site: there is no such module; is the site's folder on "
        "PYTHONPATH?\n"
    )


def test_a_metrics_address_that_is_taken_is_refused(formatters: Formatters) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = formatters.run(*PIPELINES, "--metrics", address)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"formatter: --metrics {address}: cannot listen there: Address already in use\n"
    )


def test_each_process_serves_its_own_metrics(formatters: Formatters) -> None:
    port = free_ports(2)
    parent = formatters.start("--processes", "2", PUSHGATE_METRICS=f"127.0.0.1:{port}")
    wait_until(lambda: answers(port) and answers(port + 1), DEADLINE_SECONDS, "both answer")
    formatters.wait_until_all_are_held()
    formatters.work(
        *[Event("comment.created", (f"thread:{n}",), {"n": n}) for n in range(40)],
        Event("failing.now", ("thread:1",), {}),
        Event("shaky.now", ("thread:2",), {}),
        Event("dropped.now", ("thread:3",), {}),
    )
    both = [fetch(port + place) for place in range(2)]
    assert total(both, 'jobs_total{outcome="published",type="comment.created"}') == 40
    assert total(both, 'jobs_total{outcome="dead",type="failing.now"}') == 1
    assert total(both, 'jobs_total{outcome="suppressed",type="dropped.now"}') == 1
    assert total(both, 'retries_total{type="shaky.now"}') == 2
    assert total(both, "partitions_held") == PARTITIONS
    assert total(both, "jobs_in_flight") == 0
    assert total(both, "lag_seconds_count") == 43
    assert total(both, "batch_jobs_sum") >= 42
    assert total(both, 'stage_seconds_count{stage="render"}') >= 1
    assert parent.stop() == 0


def total(served: list[str], series: str) -> float:
    """One series, added up over all processes."""
    beginning = f"pushgate_formatter_{series} "
    lines = [line for text in served for line in text.splitlines() if line.startswith(beginning)]
    assert lines, f"{series} is not served"
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_every_line_of_a_json_log_is_a_record_and_names_its_event(formatters: Formatters) -> None:
    process = formatters.start("--log", "json")
    attack = "x\n" + json.dumps({"level": "INFO", "message": "forged"})
    failing = Event("failing.now", ("thread:1",), {}, correlation_id="req-1")
    speaking = Event("speaking.now", ("thread:1",), {"text": attack}, correlation_id="req-2")
    formatters.work(failing, speaking)
    assert process.stop() == 0
    records = log_of(process)
    assert {"time", "level", "logger", "message"} <= records[0].keys()
    assert not [r for r in records if r["message"] == "forged"]
    told = [r for r in records if r.get("event_id") == failing.id]
    assert told[0]["exception"].startswith("Traceback")
    assert {(r["type"], r["key"], r["correlation_id"], r["attempts"]) for r in told} == {
        ("failing.now", "thread:1", "req-1", 1)
    }
    assert all(r["partition"] in map(str, range(PARTITIONS)) for r in told)
    (said,) = [r for r in records if r["logger"] == "mysite.pipelines"]
    assert (said["event_id"], said["correlation_id"]) == (speaking.id, "req-2")
    assert said["message"] == f"they say {attack}"


def test_spans_are_made_where_opentelemetry_is_asked_for(formatters: Formatters) -> None:
    process = formatters.start(OTEL_TRACES_EXPORTER="console", OTEL_SERVICE_NAME="formatter-7")
    traced = Event("comment.created", ("thread:1",), {}, traceparent=TRACEPARENT)
    formatters.work(traced)
    assert process.stop() == 0
    said = process.log.read_text()
    assert '"name": "format comment.created"' in said
    assert f'"trace_id": "0x{TRACEPARENT[3:35]}"' in said
    assert f'"parent_id": "0x{TRACEPARENT[36:52]}"' in said
    assert '"service.name": "formatter-7"' in said


def test_a_parent_that_is_told_to_stop_ends_its_processes_in_good_order(
    formatters: Formatters,
) -> None:
    parent = formatters.start("--processes", "2")
    formatters.wait_until_all_are_held()
    workers = children_of(parent)
    assert parent.stop() == 0
    assert formatters.held() == 0
    assert formatters.client.zcard(formatters.keys.workers) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_a_process_that_dies_at_its_start_is_started_again_and_counted(
    formatters: Formatters,
) -> None:
    parent = formatters.start("--processes", "2", "--log", "json")
    for times in (1, 2):
        wait_until(lambda: len(children_of(parent)) == 2, DEADLINE_SECONDS, "two processes run")
        os.kill(max(children_of(parent)), signal.SIGKILL)
        wait_until(lambda t=times: deaths(parent) == t, DEADLINE_SECONDS, "the death is told")  # type: ignore[misc]
    formatters.wait_until_all_are_held()
    assert parent.stop() == 0
    told = [r["message"] for r in log_of(parent) if "in a row" in r["message"]]
    assert len(told) == 2
    assert "ended with -9 after" in told[0]


def deaths(parent: Process) -> int:
    return parent.log.read_text().count("in a row")


def test_a_busy_worker_ends_in_time_though_redis_does_not_answer(
    tmp_path: Path, redis_namespace: str
) -> None:
    server = RedisServer(Platform.find(), tmp_path / "redis", free_port())
    server.start()
    formatters = Formatters(server.url, redis_namespace, tmp_path)
    try:
        parent = formatters.start("--processes", "2")
        for number in range(50):
            formatters.queue.put(Event("slow.now", ("thread:1",), {"number": number}))
        wait_until(
            lambda: read_ledger(formatters.client, formatters.keys).published > 0,
            DEADLINE_SECONDS,
            "the jobs are being worked on",
        )
        os.kill(server.pid, signal.SIGSTOP)
        assert parent.stop(deadline_seconds=DEADLINE_SECONDS) == 0
        assert "its leases run out by themselves" in parent.log.read_text()
    finally:
        os.kill(server.pid, signal.SIGCONT)
        formatters.client.close()
        server.stop()
