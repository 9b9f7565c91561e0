"""Spans for OpenTelemetry: each attempt at an event is one, below the span of the request that
made the event.

Whether any are made, `formatter.tracing_setup` says. OpenTelemetry is imported by who uses it only.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gevent

from formatter.logs import current_event
from formatter.observers import Observer
from pushgate import Event
from pushgate.job_queue import partition_of

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

SHORTEST_STAGE_SECONDS = 0.001
"""A stage that took less has no span of its own: most take microseconds, and say nothing."""

FLUSH_SECONDS = 1.0
"""How long the last spans may take on their way out when the process ends."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The attempt a greenlet is at."""

    event_id: str
    span: Span
    token: Token[Context]


_attempt: ContextVar[_Attempt | None] = ContextVar("formatter_attempt", default=None)


class Tracing(Observer):
    """Makes a span of each attempt, current while the pipeline runs.

    Args:
        provider: makes the tracer.
        namespace: what the queue is called, `messaging.destination.name`.
        partitions: how many there are, to name the event's.
    """

    def __init__(self, provider: TracerProvider, namespace: str, partitions: int) -> None:
        from opentelemetry import context, trace
        from opentelemetry.trace.propagation import tracecontext

        self._trace = trace
        self._context = context
        self._provider = provider
        self._tracer = provider.get_tracer("pushgate.formatter")
        self._propagator = tracecontext.TraceContextTextMapPropagator()
        self._namespace = namespace
        self._partitions = partitions

    def began(self, event: Event, attempts: int) -> None:
        """See `Observer`."""
        self._end("")
        # A fresh context when the event brings none: nothing of this process is its parent.
        parent = self._context.Context()
        if event.traceparent:
            parent = self._propagator.extract({"traceparent": event.traceparent}, parent)
        span = self._tracer.start_span(
            f"format {event.type}",
            context=parent,
            kind=self._trace.SpanKind.CONSUMER,
            attributes=self._attributes_of(event, attempts),
        )
        token = self._context.attach(self._trace.set_span_in_context(span, parent))
        _attempt.set(_Attempt(event.id, span, token))

    def stage_ended(self, event: Event, stage: str, seconds: float) -> None:
        """See `Observer`."""
        attempt = _attempt.get()
        if seconds < SHORTEST_STAGE_SECONDS or attempt is None or not attempt.span.is_recording():
            return
        now_ns = time.time_ns()
        span = self._tracer.start_span(stage, start_time=now_ns - int(seconds * 1e9))
        span.end(now_ns)

    def retried(self, event: Event, attempts: int, error: Exception) -> None:
        """See `Observer`."""
        self._end(event.id, "retried", error)

    def ended(
        self, event: Event | None, outcome: str, attempts: int, seconds_since_event: float
    ) -> None:
        """See `Observer`."""
        if event is not None:
            error = sys.exception() if outcome == "dead" else None
            self._end(event.id, str(outcome), error)

    def shut_down(self) -> None:
        """Sends the last spans out, and waits for it no longer than `FLUSH_SECONDS`."""
        shut_down = getattr(self._provider, "shutdown", None)
        if shut_down is not None:
            with suppress(gevent.Timeout), gevent.Timeout(FLUSH_SECONDS):
                shut_down()

    def _end(self, event_id: str, outcome: str = "", error: BaseException | None = None) -> None:
        """Ends the current attempt if it is this event's; any that is left over, for ""."""
        attempt = _attempt.get()
        if attempt is None or event_id not in ("", attempt.event_id):
            return
        _attempt.set(None)
        self._context.detach(attempt.token)
        span = attempt.span
        if outcome:
            span.set_attribute("pushgate.outcome", outcome)
        if error is not None:
            span.record_exception(error)
            span.set_attribute("error.type", type(error).__qualname__)
        if error is not None or outcome == "dead":
            what = f"{type(error).__name__}: {error}" if error else "dead letter"
            span.set_status(self._trace.StatusCode.ERROR, what[:500])
        span.end()

    def _attributes_of(self, event: Event, attempts: int) -> dict[str, Any]:
        # The semantic conventions for messaging, and our own names for what they do not have.
        attributes = {
            "messaging.system": "pushgate",
            "messaging.operation.name": "format",
            "messaging.operation.type": "process",
            "messaging.destination.name": self._namespace,
            "messaging.destination.partition.id": str(partition_of(event.key, self._partitions)),
            "messaging.message.id": event.id,
            "pushgate.event.type": event.type,
            "pushgate.event.key": event.key,
            "pushgate.attempts": attempts,
        }
        if event.correlation_id:
            attributes["messaging.message.conversation_id"] = event.correlation_id
        return attributes


def current_traceparent() -> str:
    """The W3C header for a call made on behalf of the event worked on; "" when there is none.

    It names the current span, or, where no spans are made, the trace the event came with.
    """
    if _attempt.get() is not None:
        from opentelemetry.trace.propagation import tracecontext

        carrier: dict[str, str] = {}
        tracecontext.TraceContextTextMapPropagator().inject(carrier)
        if carrier:
            return carrier["traceparent"]
    event = current_event()
    return event.traceparent if event is not None else ""
