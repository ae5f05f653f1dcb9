"""What spans cost a request: processor time and p50 with tracing off, on and unsampled, sampled.

One document is accepted past the framework by a gatherer whose call answers at once, in this
process without a server, so that the difference is not lost in what connections and disks take. A
sampled request makes three spans (request, sending, script). `exported` sends them to a receiver
in a process of its own, which costs this one its thread's share; `away` to nobody, so that the
queue is full; `kept` to memory, which is the making of spans alone. Beside them, as rivals, what
the ASGI package of OpenTelemetry makes of the same request, unsampled and sampled. The sides take
turns, and the median of each counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from services.contracts.scopes import DATA_WRITE
from services.ingest_service.endpoints import Endpoints
from services.ingest_service.gathering import Gatherer
from services.ingest_service.metrics import IngestMetrics
from services.ingest_service.service import IngestService
from services.ingest_service.settings import IngestSettings
from services.shared.http.application import Application
from services.shared.http.direct import DirectRoutes
from services.shared.http.gate import needs
from services.shared.runtime import context, logging, span_counts
from services.shared.runtime.metrics import HttpMetrics, new_registry
from services.shared.stream.accept import Accepted
from services.shared.tracing import spans
from services.shared.tracing.making import Maker
from services.shared.tracing.settings import TracingSettings
from services.shared.tracing.setup import traced
from tests.bench.machine import Report
from tests.harness.collector import receiver
from tests.harness.traces import CALLER

PATH = "/api/data"
ROUNDS = 7
BODY = b'{"device":"d-1","value":1.5}'
UNSAMPLED = CALLER[:-2] + "00"
NOWHERE = "http://127.0.0.1:9"


class Cost(NamedTuple):
    """Microseconds of the processor for each request, and of the clock for the middle one."""

    processor: float
    p50: float


class _Forgetting(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


async def _accept(documents: Sequence[Accepted]) -> list[str]:
    with spans.step("EVALSHA", "CLIENT", {"db.system.name": "redis"}):
        return ["1-0"] * len(documents)


def _application() -> Application:
    registry = new_registry()
    metrics = IngestMetrics(registry)
    gate: Any = type("Open", (), {"closed_for": None})()
    nothing = cast(Any, None)
    service = IngestService(gate, Gatherer(_accept, metrics), nothing, nothing, metrics)
    direct = DirectRoutes()
    direct.add("POST", PATH, Endpoints(service, IngestSettings()).accept, lambda error: None)
    app = Application(direct, guard=None, context={"metrics": HttpMetrics(registry)})
    app.post(PATH, dependencies=[needs(DATA_WRITE)])(list)
    app.finish()
    return app


async def _calls(app: Any, traceparent: str | None, number: int) -> Cost:
    headers = [(b"host", b"x"), (b"content-type", b"application/json")]
    headers.append((b"content-length", b"%d" % len(BODY)))
    if traceparent:
        headers.append((b"traceparent", traceparent.encode()))
    refused: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Any) -> None:
        if message.get("status", 202) != 202:
            refused.append(message["status"])

    each: list[float] = []
    before = time.process_time()
    for _ in range(number):
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "query_string": b"",
            "headers": headers,
        }
        started = time.perf_counter()
        # As a server does: what is bound to a request ends with its task.
        await asyncio.create_task(app(scope, receive, send))
        each.append(time.perf_counter() - started)
    used = (time.process_time() - before) / number * 1e6
    if refused:
        raise RuntimeError(f"{len(refused)} of {number} requests were refused: {refused[0]}")
    return Cost(used, statistics.median(each) * 1e6)


def _collect(url: Any, end: Any) -> None:
    with receiver() as running:
        url.put(running.url)
        end.get()


@contextlib.contextmanager
def _collector() -> Iterator[str]:
    """The URL of a receiver in a process of its own: what it uses is not ours."""
    spawn = multiprocessing.get_context("spawn")
    url, end = spawn.Queue(), spawn.Queue()
    process = spawn.Process(target=_collect, args=(url, end), daemon=True)
    process.start()
    try:
        yield url.get(timeout=60)
    finally:
        end.put(None)
        process.join(10)


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    provider = TracerProvider(ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(_Forgetting()))
    spans.use(Maker(provider.get_tracer("bench")))
    try:
        yield
    finally:
        spans.use(None)
        context.sample(0)


def _by_package(app: Any) -> Any:
    """The application in the package's middleware."""
    provider = TracerProvider(ParentBased(ALWAYS_ON), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(_Forgetting()))
    return OpenTelemetryMiddleware(app, tracer_provider=provider)


def _to(url: str) -> contextlib.AbstractContextManager[None]:
    return traced("bench", TracingSettings(endpoint=url, shutdown_seconds=10))


async def _bench(report: Report, url: str, number: int) -> None:
    app = _application()
    off = contextlib.nullcontext
    sides: dict[str, tuple[Callable[[], Any], Any, str | None]] = {
        "off": (off, app, None),
        "off, a caller that samples": (off, app, CALLER),
        "on, unsampled": (lambda: _to(url), app, UNSAMPLED),
        "sampled, kept": (_kept, app, CALLER),
        "sampled, exported": (lambda: _to(url), app, CALLER),
        "sampled, collector away": (lambda: _to(NOWHERE), app, CALLER),
    }
    rival = _by_package(app)
    sides["the package, unsampled"] = (off, rival, UNSAMPLED)
    sides["the package, sampled"] = (off, rival, CALLER)
    found: dict[str, list[Cost]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, (turn_on, of, traceparent) in sides.items():
            with turn_on():
                found[side].append(await _calls(of, traceparent, number))
    for side, costs in found.items():
        report.add(
            side,
            processor_us_each=round(statistics.median(one.processor for one in costs), 2),
            p50_us=round(statistics.median(one.p50 for one in costs), 2),
            least_us=round(min(one.processor for one in costs), 2),
        )
    report.say(
        "  spans: "
        + ", ".join(f"{span_counts.counted(o)} {o}" for o in ("exported", "refused", "dropped"))
    )


def run(number: int = 5_000) -> int:
    """All sides, in turn."""
    logging.configure("bench", "WARNING")  # the few lines that recorded requests have
    report = Report("tracing")
    with _collector() as url:
        asyncio.run(_bench(report, url, number))
    return report.close()
