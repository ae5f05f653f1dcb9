"""A collector, as far as a service sees of it: takes OTLP over HTTP, or does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from tests.harness.span_trees import Seen, said


class Arrived(NamedTuple):
    """A span, and the service that made it."""

    service: str
    span: Span

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def title(self) -> str:
        return f"{self.service}: {self.span.name}"

    @property
    def seen(self) -> Seen:
        return Seen(
            self.service,
            self.span.name,
            self.span.trace_id.hex(),
            self.span.span_id.hex(),
            self.span.parent_span_id.hex(),
            self.span.start_time_unix_nano,
            frozenset(link.span_id.hex() for link in self.span.links),
            {one.key: _value(one.value) for one in self.span.attributes},
        )


class Receiver:
    """What came so far, and whether what comes is taken."""

    def __init__(self) -> None:
        self.came: list[ResourceSpans] = []
        self.paths: set[str] = set()
        self.status = 200
        self.go_on = threading.Event()
        self.go_on.set()
        self.url = ""

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.spans]

    @property
    def spans(self) -> list[Arrived]:
        return [
            Arrived(about["service.name"], span)
            for of in list(self.came)
            if (about := {one.key: _value(one.value) for one in of.resource.attributes})
            for scope in of.scope_spans
            for span in scope.spans
        ]

    @property
    def seen(self) -> list[Seen]:
        return [one.seen for one in self.spans]

    def variables(self, **more: object) -> dict[str, str]:
        """What a process is told that is to send its spans here, soon."""
        said = {"TRACING_ENDPOINT": self.url, "TRACING_DELAY_SECONDS": 0.2, **more}
        return {name: str(value) for name, value in said.items()}

    @property
    def resource(self) -> dict[str, str]:
        [first, *_] = self.came
        return {one.key: one.value.string_value for one in first.resource.attributes}


def _value(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    return said(getattr(value, kind)) if kind else ""


@contextmanager
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            state.go_on.wait(20)
            state.paths.add(self.path)
            if state.status == 200:
                state.came += ExportTraceServiceRequest.FromString(body).resource_spans
            self.send_response(state.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        state.go_on.set()
        server.shutdown()
        server.server_close()
