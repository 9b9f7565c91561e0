"""Spans of attempts, below the trace that the event came with."""

from __future__ import annotations

import gevent
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from formatter.logs import working_on
from formatter.tracing import Tracing, current_traceparent
from formatter.tracing_setup import TracingUnavailable, check_tracing, tracing_of
from pushgate import Event
from pushgate.job_queue import partition_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Tracing:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracing(provider, "pushgate", 8)


def event(traceparent: str = TRACEPARENT) -> Event:
    return Event(
        "comment.created", ("thread:1",), {}, correlation_id="req-1", traceparent=traceparent
    )


def attributes_of(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_an_attempt_is_a_span_of_the_events_own_trace(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    traced = event()
    tracing.began(traced, 2)
    tracing.ended(traced, "published", 2, 0.1)
    (span,) = exporter.get_finished_spans()
    assert span.name == "format comment.created"
    assert span.kind is SpanKind.CONSUMER
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" == f"{TRACE}-{SPAN}"
    assert span.parent.is_remote
    assert attributes_of(span) == {
        "messaging.system": "pushgate",
        "messaging.operation.name": "format",
        "messaging.operation.type": "process",
        "messaging.destination.name": "pushgate",
        "messaging.destination.partition.id": str(partition_of("thread:1", 8)),
        "messaging.message.id": traced.id,
        "messaging.message.conversation_id": "req-1",
        "pushgate.event.type": "comment.created",
        "pushgate.event.key": "thread:1",
        "pushgate.attempts": 2,
        "pushgate.outcome": "published",
    }
    assert span.status.status_code is StatusCode.UNSET


def test_an_event_without_a_trace_begins_one(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    for _ in range(2):
        alone = event(traceparent="")
        tracing.began(alone, 1)
        tracing.ended(alone, "suppressed", 1, 0.1)
    first, second = exporter.get_finished_spans()
    assert first.parent is None
    assert first.context.trace_id != second.context.trace_id


def test_a_trace_that_is_not_sampled_stays_so(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    quiet = event(traceparent=TRACEPARENT[:-1] + "0")
    tracing.began(quiet, 1)
    assert current_traceparent().startswith(f"00-{TRACE}-")
    assert current_traceparent().endswith("-00")
    tracing.ended(quiet, "published", 1, 0.1)
    assert exporter.get_finished_spans() == ()


def test_errors_are_recorded_and_each_attempt_ends(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    failing = event()
    tracing.began(failing, 1)
    tracing.retried(failing, 1, TimeoutError("the spell checker is away"))
    tracing.began(failing, 2)
    try:
        raise ValueError("it cannot be shown")
    except ValueError:
        tracing.ended(failing, "dead", 2, 0.1)
    first, second = exporter.get_finished_spans()
    assert first.status.description == "TimeoutError: the spell checker is away"
    assert attributes_of(first)["pushgate.outcome"] == "retried"
    assert second.status.status_code is StatusCode.ERROR
    assert attributes_of(second)["error.type"] == "ValueError"
    assert [e.name for e in second.events] == ["exception"]
    assert first.parent == second.parent


def test_a_slow_stage_is_a_span_below_and_a_quick_one_is_none(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    traced = event()
    tracing.began(traced, 1)
    tracing.stage_ended(traced, "admit", 0.00001)
    tracing.stage_ended(traced, "enrich", 0.2)
    tracing.ended(traced, "published", 1, 0.1)
    stage, job = exporter.get_finished_spans()
    assert stage.name == "enrich"
    assert stage.parent is not None
    assert stage.parent.span_id == job.context.span_id
    assert stage.start_time is not None and stage.end_time is not None
    assert stage.end_time - stage.start_time == 200_000_000


def test_calls_made_meanwhile_carry_the_span(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    assert current_traceparent() == ""
    traced = event()
    tracing.began(traced, 1)
    carried = current_traceparent()
    assert trace.get_current_span().is_recording()
    tracing.ended(traced, "published", 1, 0.1)
    (span,) = exporter.get_finished_spans()
    assert carried == f"00-{TRACE}-{span.context.span_id:016x}-01"
    assert current_traceparent() == ""
    assert not trace.get_current_span().is_recording()


def test_without_spans_calls_carry_the_trace_the_event_came_with() -> None:
    traced = event()
    working_on.set((traced, 1))
    assert current_traceparent() == TRACEPARENT
    working_on.set(None)
    assert current_traceparent() == ""


def test_greenlets_have_spans_of_their_own(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    carried = []

    def work() -> None:
        own = event(traceparent="")
        tracing.began(own, 1)
        gevent.sleep(0)
        carried.append(current_traceparent())
        tracing.ended(own, "published", 1, 0.0)

    gevent.joinall([gevent.spawn(work) for _ in range(4)], raise_error=True)
    made = {f"00-{s.context.trace_id:032x}-{s.context.span_id:016x}" for s in ended(exporter)}
    assert {text.rpartition("-")[0] for text in carried} == made
    assert len(made) == 4


def ended(exporter: InMemorySpanExporter) -> tuple[ReadableSpan, ...]:
    return exporter.get_finished_spans()


def test_an_attempt_that_nobody_ended_ends_with_the_next(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    left, following, other = event(), event(), event()
    tracing.began(left, 1)
    tracing.began(following, 1)
    tracing.ended(other, "suppressed", 1, 0.0)
    assert [attributes_of(s)["messaging.message.id"] for s in ended(exporter)] == [left.id]
    tracing.ended(following, "published", 1, 0.0)
    assert len(ended(exporter)) == 2


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_who_asks_for_no_spans_gets_none(environment: dict[str, str]) -> None:
    assert tracing_of("pushgate", 8, environment) is None
    check_tracing(environment)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the exporter otlp_proto_http is not "
            "installed: pip install opentelemetry-exporter-otlp-proto-http, or unset it",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_TRACES_EXPORTER is set, but the exporter otlp_proto_grpc is not installed: "
            "pip install opentelemetry-exporter-otlp-proto-grpc, or unset it",
        ),
    ],
)
def test_what_is_asked_for_and_not_installed_is_named(
    environment: dict[str, str], sentence: str
) -> None:
    with pytest.raises(TracingUnavailable) as raised:
        tracing_of("pushgate", 8, environment)
    assert str(raised.value) == sentence
