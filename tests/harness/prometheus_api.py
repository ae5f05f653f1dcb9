"""A small Prometheus: its HTTP API over a socket, with the JSON that the real one writes."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NOW = 1_800_000_015.25


@dataclass
class Api:
    """What it answers: a query's text to the series it gives, or to the body of an error.

    Of `instants`, `QUERY @ 1000.000` is for that moment.
    """

    series: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    instants: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    errors: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    delay: float = 0.0
    """Seconds before each answer, unless it is `over` before."""
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str, asked: dict[str, str]) -> tuple[int, str]:
        self.asked.append(asked)
        match path:
            case "/api/v1/query" | "/api/v1/query_range" if asked["query"] in self.errors:
                return self.errors[asked["query"]]
            case "/api/v1/query" if asked["query"] == "time()":
                data: Any = {"resultType": "scalar", "result": [NOW, str(NOW)]}
            case "/api/v1/label/__name__/values":
                data = self.names
            case "/api/v1/alerts":
                data = {"alerts": self.alerts}
            case "/api/v1/query":
                at = f"{asked['query']} @ {asked.get('time')}"
                found = self.instants.get(at, self.instants.get(asked["query"], []))
                data = {"resultType": "vector", "result": found}
            case "/api/v1/query_range":
                found = self.series.get(asked["query"], [])
                data = {"resultType": "matrix", "result": found}
            case _:
                return 404, "404 page not found\n"
        said = {"status": "success", "data": data}
        return 200, json.dumps(said | ({"warnings": self.warnings} if self.warnings else {}))


def error(kind: str, text: str, status: int = 422) -> tuple[int, str]:
    """As Prometheus says that it cannot answer."""
    return status, json.dumps({"status": "error", "errorType": kind, "error": text})


def series(labels: Mapping[str, str], values: Mapping[int, str]) -> dict[str, Any]:
    """As in a matrix: values are text, and a moment without one is left out."""
    return {"metric": dict(labels), "values": [[at, text] for at, text in values.items()]}


def instant(value: str, **labels: str) -> dict[str, Any]:
    """As in a vector."""
    return {"metric": labels, "value": [NOW, value]}


@contextmanager
def served(api: Api) -> Iterator[Api]:
    """For as long as the context lasts, at `api.url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            api.over.wait(api.delay)
            status, text = api.answer(parts.path, asked)
            body = text.encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            with suppress(ConnectionError):  # who asked may have given up
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
