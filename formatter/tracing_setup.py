"""Whether spans are made, and where they go.

Nothing is asked for on the command line: who runs OpenTelemetry says so in its own environment
(`OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_ENDPOINT`, ...), by `opentelemetry-instrument`, or by a
tracer provider that the site's own module sets. Without any of these nothing of it is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING

from formatter.errors import FormatterError
from formatter.tracing import Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
    from opentelemetry.trace import TracerProvider

EXPORTERS = "opentelemetry_traces_exporter"
"""The group of entry points under which packages announce their exporters."""

SERVICE_NAME = "pushgate-formatter"


class TracingUnavailable(FormatterError):
    """The environment asks for spans that cannot be made."""


def tracing_of(
    namespace: str, partitions: int, environment: Mapping[str, str] | None = None
) -> Tracing | None:
    """The tracing that somebody has asked for; None when nobody has.

    Raises:
        TracingUnavailable: the environment asks for it, and something is not installed.
    """
    environment = os.environ if environment is None else environment
    if _disabled(environment):
        return None
    provider = _provider_set()
    if provider is None and _asked_by(environment):
        check_tracing(environment)
        provider = _sdk_provider(environment)
    return Tracing(provider, namespace, partitions) if provider is not None else None


def _asked_by(environment: Mapping[str, str]) -> str:
    """The variable that asks for spans; "" when none does."""
    if _disabled(environment):
        return ""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter == "none":
        return ""
    if exporter:
        return "OTEL_TRACES_EXPORTER"
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return next((name for name in names if environment.get(name)), "")


def _disabled(environment: Mapping[str, str]) -> bool:
    return environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _provider_set() -> TracerProvider | None:
    """The provider that somebody else has set; without one the API hands out a stand-in."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    stand_ins = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
    return None if isinstance(provider, stand_ins) else provider


def check_tracing(environment: Mapping[str, str]) -> None:
    """Looks whether all is installed that the environment asks for.

    Raises:
        TracingUnavailable: it is not, and what to install.
    """
    asked = _asked_by(environment)
    if not asked:
        return
    for module in ("opentelemetry", "opentelemetry.sdk"):
        if find_spec(module) is None:
            raise _unavailable(asked, "OpenTelemetry's SDK", "opentelemetry-sdk")
    for name in _exporters_named(environment):
        if not entry_points(group=EXPORTERS, name=name):
            package = f"opentelemetry-exporter-{name.replace('_', '-')}"
            raise _unavailable(asked, f"the exporter {name}", package)


def _unavailable(asked: str, missing: str, package: str) -> TracingUnavailable:
    return TracingUnavailable(
        f"{asked} is set, but {missing} is not installed: pip install {package}, or unset it"
    )


def _exporters_named(environment: Mapping[str, str]) -> Iterator[str]:
    """The names under which OpenTelemetry's packages announce the exporters that are wanted."""
    for part in (environment.get("OTEL_TRACES_EXPORTER") or "otlp").split(","):
        name = part.strip()
        if name == "otlp":
            protocol = (
                environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
                or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
                or "http/protobuf"
            )
            name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
        if name:
            yield name


def _sdk_provider(environment: Mapping[str, str]) -> SdkTracerProvider:
    """A provider of the SDK, which reads the rest of OpenTelemetry's environment by itself."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create()
    if str(resource.attributes.get("service.name", "unknown_service")).startswith("unknown_"):
        resource = Resource.create({"service.name": SERVICE_NAME})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in _exporters_named(environment):
        for point in entry_points(group=EXPORTERS, name=name):
            provider.add_span_processor(BatchSpanProcessor(point.load()()))
    trace.set_tracer_provider(provider)
    return provider
