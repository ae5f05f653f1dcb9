"""The way of spans to the collector: bounded, counted, beside everything else.

What ends a span only puts it into a queue. A thread of the library's sends what is there; while the
collector is away, or slower than spans come, they are dropped and counted, and nobody waits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from services.shared.runtime import span_counts
from services.shared.runtime.sparing import Sparing
from services.shared.tracing.settings import TracingSettings

_LIBRARY: Final = "opentelemetry"


class Counted(SpanExporter):
    """Another exporter, and what became of the spans it was given."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self.begun = 0
        """Spans that were taken from the queue."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Never raises: what goes wrong is the collector's affair, or this line's."""
        self.begun += len(spans)
        try:
            result = self._inner.export(spans)
        except Exception:  # the thread that calls it has to go on
            logging.getLogger(__name__).warning("spans_not_exported", exc_info=True)
            result = SpanExportResult.FAILURE
        done = result is SpanExportResult.SUCCESS
        span_counts.note("exported" if done else "refused", len(spans))
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


class Bounded(SpanProcessor):
    """The library's queue, which would drop its oldest without saying how many: here what comes is
    dropped that does not fit, and counted."""

    def __init__(self, exporter: Counted, settings: TracingSettings) -> None:
        self._exporter = exporter
        self._most = settings.most_waiting
        self._lock = threading.Lock()
        self._taken = 0
        self._batches = BatchSpanProcessor(
            exporter,
            max_queue_size=settings.most_waiting,
            max_export_batch_size=settings.batch,
            schedule_delay_millis=settings.delay_seconds * 1000,
        )

    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            fits = self._taken - self._exporter.begun < self._most
            self._taken += fits
        if fits:
            self._batches.on_end(span)
        else:
            span_counts.note("dropped")

    def shutdown(self) -> None:
        self._batches.shutdown()


class Pipeline:
    """A process's provider of tracers, from its making to its end."""

    def __init__(
        self, service: str, settings: TracingSettings, exporter: SpanExporter | None = None
    ) -> None:
        """`exporter`: instead of the one that the settings describe."""
        spare_log()
        self._settings = settings
        self._exporter = Counted(exporter or _exporter(settings))
        # Whether a trace is kept is decided where it begins, before anything of the library is
        # called (services/shared/runtime/context.py).
        self.provider = TracerProvider(
            ALWAYS_ON, Resource.create(_about(service, settings)), shutdown_on_exit=False
        )
        self.provider.add_span_processor(Bounded(self._exporter, settings))

    def close(self) -> None:
        """Send what is left, for as long as the settings have it: a collector that is away must not
        hold up the end of the process."""
        ending = threading.Thread(target=self.provider.shutdown, name="spans-end", daemon=True)
        ending.start()
        ending.join(self._settings.shutdown_seconds)
        if ending.is_alive():
            self._exporter.shutdown()  # ends what waits to try again


def _exporter(settings: TracingSettings) -> SpanExporter:
    return OTLPSpanExporter(
        endpoint=f"{settings.endpoint}/v1/traces",
        certificate_file=str(settings.ca_file) if settings.ca_file else None,
        timeout=settings.timeout_seconds,
        # Inside a cluster processor time is dearer than bytes, whatever OTEL_* says.
        compression=Compression.NoCompression,
    )


def _about(service: str, settings: TracingSettings) -> Mapping[str, str]:
    known = {
        "service.name": service,
        "service.namespace": "millrace",
        "service.version": settings.service_version,
        "service.instance.id": settings.pod,
        "k8s.pod.name": settings.pod,
        "k8s.namespace.name": settings.namespace,
    }
    return {name: value for name, value in known.items() if value}


def spare_log() -> None:
    """Let the library say once in half a minute that the collector is away, not for each batch."""
    for name in (_LIBRARY, *logging.root.manager.loggerDict):
        if name == _LIBRARY or name.startswith(f"{_LIBRARY}."):
            logger = logging.getLogger(name)
            if not any(isinstance(known, Sparing) for known in logger.filters):
                logger.addFilter(Sparing(lambda record: str(record.msg)))
