"""/metrics: what Prometheus' own parser reads, and that it is true."""

import json
import os
import signal
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stack.gateway import Gateway
from stack.process import wait_until
from tests.gateway.conftest import (
    DEADLINE_SECONDS,
    LogWriter,
    OwnGateway,
    Subscribe,
    Subscriber,
    ask,
)

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

Samples = dict[tuple[str, str], float]


def metrics(gateway: Gateway) -> Samples:
    """Every sample by its name and its label's value."""
    answer = gateway.private("GET", "/metrics")
    assert answer.status == 200
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def metrics_at_rest(gateway: Gateway) -> Samples:
    """The samples when other tests' streams have ended and every worker has said so."""

    def is_at_rest() -> bool:
        books = json.loads(gateway.private("GET", "/ledger").body)
        return bool(books["streams"]["open"] == 0)

    wait_until(is_at_rest, DEADLINE_SECONDS, "no stream is open")
    return metrics(gateway)


def metrics_when(gateway: Gateway, holds: Callable[[Samples], bool], what: str) -> Samples:
    """The samples once something holds: the other worker's counts come within a second."""
    wait_until(lambda: holds(metrics(gateway)), DEADLINE_SECONDS, what)
    return metrics(gateway)


def wait_until_grown(
    gateway: Gateway, before: Samples, by: int, name: str, label: str = ""
) -> None:
    def has_grown() -> bool:
        return metrics(gateway).get((name, label), 0) - before.get((name, label), 0) == by

    wait_until(has_grown, DEADLINE_SECONDS, f"{name} {label} has grown by {by}")


def test_the_format_is_prometheus_own(gateway: Gateway) -> None:
    answer = gateway.private("GET", "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.body.decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families) > 20
    for family in families:
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        assert family.name.startswith("pushgate_")
    assert gateway.private("POST", "/metrics", "{}").status == 405


def test_subscribers_and_deliveries_are_counted(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    before = metrics_at_rest(gateway)
    cursor = log.now()
    subscribers = [subscribe(channel) for _ in range(4)]
    for _ in range(5):
        log.append(channel)
    for subscriber in subscribers:
        subscriber.wait_for(5)
    subscribers.append(subscribe(channel, cursor))
    subscribers[-1].wait_for(5)
    wait_until_grown(gateway, before, 5, "pushgate_subscribers")
    wait_until_grown(gateway, before, 5, "pushgate_streams_opened_total")
    wait_until_grown(gateway, before, 20, "pushgate_deliveries_total")
    wait_until_grown(gateway, before, 5, "pushgate_replayed_frames_total")
    wait_until_grown(gateway, before, 1, "pushgate_resumes_total")
    wait_until_grown(gateway, before, 5, "pushgate_log_entries_total", "handed_over")
    found = metrics(gateway)
    assert found["pushgate_channels", ""] >= 1
    assert found["pushgate_connections", ""] >= 5
    for subscriber in subscribers:
        subscriber.client.close()
    wait_until_grown(gateway, before, 5, "pushgate_departures_total", "client")
    wait_until_grown(gateway, before, 0, "pushgate_subscribers")


def test_each_live_delivery_is_in_the_histogram(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    before = metrics_at_rest(gateway)
    subscribers = [subscribe(channel) for _ in range(7)]
    for _ in range(3):
        log.append(channel)
    for subscriber in subscribers:
        subscriber.wait_for(3)
    wait_until_grown(gateway, before, 21, "pushgate_delivery_seconds_count")
    found = metrics(gateway)
    name = "pushgate_delivery_seconds_bucket"
    counts = [value for (metric, _), value in found.items() if metric == name]
    assert counts == sorted(counts)
    assert counts[-1] == found["pushgate_delivery_seconds_count", ""]
    assert found["pushgate_delivery_seconds_sum", ""] > 0


def test_bytes_are_counted(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    before = metrics(gateway)
    log.append(channel, text="x" * 10_000)
    subscriber.wait_for(1)
    wait_until(
        lambda: (
            metrics(gateway)["pushgate_delivered_bytes_total", ""]
            - before["pushgate_delivered_bytes_total", ""]
            > 10_000
        ),
        DEADLINE_SECONDS,
        "the bytes are counted",
    )


def test_refusals_and_resets_have_their_reasons(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    before = metrics_at_rest(gateway)
    assert ask(gateway, "GET", "/sub/UPPER").status == 400
    subscribe(channel, "nonsense")
    wait_until_grown(gateway, before, 1, "pushgate_refusals_total", "address")
    wait_until_grown(gateway, before, 1, "pushgate_resets_total", "cursor")


def test_nothing_of_a_client_becomes_a_label(gateway: Gateway, channel: str) -> None:
    ask(gateway, "GET", f'/sub/{channel}"}}x?token=secret', {"Last-Event-ID": '"evil"'})
    text = gateway.private("GET", "/metrics").body.decode()
    assert "secret" not in text
    assert "evil" not in text
    assert channel not in text


def test_memory_is_shown(gateway: Gateway) -> None:
    found = metrics(gateway)
    zones = {label for name, label in found if name == "pushgate_memory_bytes"}
    assert {"pushgate_state", "pushgate_recent", "pushgate_counts"} <= zones
    for zone in zones:
        free = found["pushgate_memory_free_bytes", zone]
        assert 0 < free < found["pushgate_memory_bytes", zone]


def test_malformed_entries_and_the_gateways_state_are_shown(own_gateway: OwnGateway) -> None:
    gateway, log = own_gateway.gateway, own_gateway.log
    log.client.xadd(log.keys.log, {"a": "b"})
    log.append("thread:1")
    log.wait_until_followed()
    found = metrics(gateway)
    assert found["pushgate_log_entries_total", "malformed"] == 1
    assert found["pushgate_ready", ""] == 1
    assert found["pushgate_tail_lag_seconds", ""] < DEADLINE_SECONDS
    own_gateway.redis_server.kill()
    wait_until(
        lambda: metrics(gateway)["pushgate_ready", ""] == 0, DEADLINE_SECONDS, "it is not ready"
    )
    age = metrics(gateway)["pushgate_tail_read_age_seconds", ""]
    wait_until(
        lambda: metrics(gateway)["pushgate_tail_read_age_seconds", ""] > age,
        DEADLINE_SECONDS,
        "the last read grows old",
    )


def test_counts_survive_a_reload(own_gateway: OwnGateway) -> None:
    gateway, log = own_gateway.gateway, own_gateway.log
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    for _ in range(3):
        log.append("thread:1")
    subscriber.wait_for(3)
    before = set(gateway.worker_pids)
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until(
        lambda: not before & set(gateway.worker_pids), DEADLINE_SECONDS, "the old workers are gone"
    )
    subscriber.client.close()
    found = metrics_when(
        gateway,
        lambda found: found.get(("pushgate_departures_total", "exit"), 0) == 1,
        "the stream's end is counted",
    )
    assert found["pushgate_deliveries_total", ""] == 3
    assert found["pushgate_streams_opened_total", ""] == 1
    assert found["pushgate_workers_killed_total", ""] == 0


def test_a_killed_worker_is_counted_and_its_streams_are_no_more_open(
    own_gateway: OwnGateway,
) -> None:
    gateway = own_gateway.gateway
    subscribers = [Subscriber(own_gateway.client("thread:1")).connect() for _ in range(6)]
    metrics_when(gateway, lambda found: found["pushgate_subscribers", ""] == 6, "all are counted")
    for pid in gateway.worker_pids:
        os.kill(pid, signal.SIGKILL)
    found = metrics_when(
        gateway, lambda found: found["pushgate_workers_killed_total", ""] == 2, "it is counted"
    )
    assert found["pushgate_subscribers", ""] == 0
    assert found["pushgate_streams_opened_total", ""] == 6
    for subscriber in subscribers:
        subscriber.client.close()
