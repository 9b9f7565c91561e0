"""What a worker counts, and how Prometheus gets it."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from gevent.socket import create_connection
from prometheus_client import CollectorRegistry, generate_latest

from formatter.metrics import MOST_TYPES, OTHER, UNREADABLE, Metrics, registry_of
from formatter.metrics_server import Address, MetricsServer, MetricsUnavailable, application
from pushgate import Event
from stack.process import free_port

EVENT = Event("comment.created", ("thread:1",), {})


class Holding:
    """A worker with two partitions and seven jobs."""

    jobs_in_flight = 7
    partitions = {"0", "5"}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return registry_of(metrics, Holding()).get_sample_value(f"pushgate_formatter_{name}", labels)


def test_jobs_are_counted_by_type_and_outcome() -> None:
    metrics = Metrics()
    for outcome in ("published", "published", "suppressed", "dead"):
        metrics.ended(EVENT, outcome, 1, 0.2)
    metrics.ended(None, "dead", 1, 0.0)
    counted = {
        (kind, outcome): value(metrics, "jobs_total", type=kind, outcome=outcome)
        for kind in (EVENT.type, UNREADABLE)
        for outcome in ("published", "suppressed", "dead")
    }
    assert counted == {
        (EVENT.type, "published"): 2,
        (EVENT.type, "suppressed"): 1,
        (EVENT.type, "dead"): 1,
        (UNREADABLE, "published"): None,
        (UNREADABLE, "suppressed"): None,
        (UNREADABLE, "dead"): 1,
    }


def test_types_beyond_the_bound_are_counted_together() -> None:
    metrics = Metrics()
    for number in range(MOST_TYPES + 20):
        event = Event(f"kind.n{number}", ("thread:1",), {})
        metrics.ended(event, "published", 1, 0.2)
        metrics.retried(event, 1, ValueError())
    assert value(metrics, "jobs_total", type="kind.n0", outcome="published") == 1
    assert value(metrics, "jobs_total", type=OTHER, outcome="published") == 20
    assert value(metrics, "retries_total", type=OTHER) == 20
    text = generate_latest(registry_of(metrics, Holding())).decode()
    assert text.count("pushgate_formatter_jobs_total{") == MOST_TYPES + 1
    metrics.ended(None, "dead", 1, 0.0)
    assert value(metrics, "jobs_total", type=UNREADABLE, outcome="dead") == 1


def test_histograms_count_what_is_at_or_below_each_bound() -> None:
    metrics = Metrics()
    for seconds in (0.005, 0.0051, 7200.0):
        metrics.ended(EVENT, "published", 1, seconds)
    assert value(metrics, "lag_seconds_bucket", le="0.005") == 1
    assert value(metrics, "lag_seconds_bucket", le="0.01") == 2
    assert value(metrics, "lag_seconds_bucket", le="3600.0") == 2
    assert value(metrics, "lag_seconds_bucket", le="+Inf") == 3
    assert value(metrics, "lag_seconds_count") == 3
    assert value(metrics, "lag_seconds_sum") == pytest.approx(7200.0101)


def test_an_event_from_a_clock_ahead_of_ours_has_no_lag() -> None:
    metrics = Metrics()
    metrics.ended(EVENT, "published", 1, -3.0)
    assert value(metrics, "lag_seconds_sum") == 0
    assert value(metrics, "lag_seconds_count") == 1


def test_stages_batches_and_leases_are_counted() -> None:
    metrics = Metrics()
    metrics.stage_ended(EVENT, "enrich", 0.2)
    metrics.stage_ended(EVENT, "render", 0.00002)
    metrics.finished("3", 40)
    for hook in (metrics.lease_taken, metrics.lease_taken, metrics.lease_lost, metrics.refused):
        hook("3")
    assert value(metrics, "stage_seconds_bucket", stage="enrich", le="0.1") == 0
    assert value(metrics, "stage_seconds_bucket", stage="enrich", le="0.25") == 1
    assert value(metrics, "stage_seconds_count", stage="render") == 1
    assert value(metrics, "batch_jobs_bucket", le="50.0") == 1
    assert value(metrics, "batch_jobs_sum") == 40
    assert value(metrics, "lease_moves_total", kind="taken") == 2
    assert value(metrics, "lease_moves_total", kind="lost") == 1
    assert value(metrics, "lease_moves_total", kind="released") == 0
    assert value(metrics, "refused_writes_total") == 1


def test_publishers_are_counted_and_their_lag_is_told_while_it_is_fresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metrics = Metrics()
    metrics.sent("firehose", 20, 0.1)
    metrics.failed("firehose", ValueError())
    metrics.dead("firehose", 2)
    metrics.lag("firehose", 4.5)
    told = (
        "publisher_items_sent_total",
        "publisher_sendings_failed_total",
        "publisher_items_dead_total",
        "publisher_lag_seconds",
    )
    assert [value(metrics, name, publisher="firehose") for name in told] == [20, 1, 2, 4.5]
    monkeypatch.setattr("formatter.metrics.STALE_SECONDS", -1.0)
    assert value(metrics, "publisher_lag_seconds", publisher="firehose") is None


def test_every_series_stands_there_before_anything_happened() -> None:
    text = generate_latest(registry_of(Metrics(), Holding())).decode()
    for name in ("jobs", "retries", "stage_seconds", "lag_seconds", "batch_jobs", "lease_moves"):
        assert f"# HELP pushgate_formatter_{name}" in text
    assert "process_cpu_seconds_total" in text


def test_what_the_worker_holds_is_asked_when_somebody_looks() -> None:
    assert value(Metrics(), "jobs_in_flight") == 7
    assert value(Metrics(), "partitions_held") == 2


def test_a_client_that_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("formatter.metrics_server.CONNECTION_SECONDS", 0.01)
    port = free_port()
    server = MetricsServer(Address("127.0.0.1", port), registry_of(Metrics(), Holding()))
    server.start()
    try:
        with create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\n")
            assert client.recv(100) == b""
    finally:
        server.stop()


def test_an_address_that_is_taken_is_said_so() -> None:
    port = free_port()
    address = Address("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(MetricsUnavailable) as raised:
        MetricsServer(address, registry_of(Metrics(), Holding())).start()
    assert str(raised.value) == (
        f"--metrics 127.0.0.1:{port}: cannot listen there: Address already in use"
    )


class Answered:
    """What an application answers to one request."""

    def __init__(self, method: str, path: str) -> None:
        self.status = ""
        self.headers: dict[str, str] = {}
        served: CollectorRegistry = registry_of(Metrics(), Holding())
        self.body = b"".join(
            application(served)({"REQUEST_METHOD": method, "PATH_INFO": path}, self._start)
        )

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        self.status, self.headers = status, dict(headers)


def test_two_addresses_answer_and_one_method() -> None:
    assert Answered("GET", "/metrics").status == "200 OK"
    assert b"pushgate_formatter_jobs" in Answered("GET", "/metrics").body
    assert Answered("GET", "/healthz").body == b"ok\n"
    assert Answered("GET", "/").status == "404 Not Found"
    assert Answered("GET", "/favicon.ico").status == "404 Not Found"
    assert Answered("POST", "/metrics").status == "405 Method Not Allowed"
    assert Answered("OPTIONS", "/metrics").headers["Allow"] == "GET"
    assert Answered("GET", "/metrics").headers["Connection"] == "close"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464),
        ("[::1]:9464", "::1", 9464),
        (":9464", "", 9464),
        ("metrics.internal:1", "metrics.internal", 1),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, host: str, port: int) -> None:
    address = Address.parse(text)
    assert (address.host, address.port) == (host, port)
    assert str(address) == text
    assert address.of_process(3).port == port + 3


@pytest.mark.parametrize(
    "text",
    ["9464", "localhost", "::1:9464", "localhost:", "localhost:x", "localhost:٣", "a b:1", "a:0"]
    + ["localhost:65536", "http://localhost:80", "localhost:-1", "user@localhost:1"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="use "):
        Address.parse(text)
