"""The platform's paths, each as the one trace that it is from the request to the last row."""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple

from tests.harness.span_trees import Node, Path


class Caller(NamedTuple):
    """A client whose span is recorded, and which therefore knows the trace's id before."""

    trace: str
    span: str

    @classmethod
    def new(cls) -> Caller:
        return cls(secrets.token_hex(16), secrets.token_hex(8))

    @property
    def correlation_id(self) -> str:
        return f"traced-{self.trace[:12]}"

    @property
    def headers(self) -> dict[str, str]:
        return {
            "traceparent": f"00-{self.trace}-{self.span}-01",
            "x-correlation-id": self.correlation_id,
        }


def _answered(status: int) -> dict[str, str]:
    """What the first span says."""
    return {"http.response.status_code": str(status), "millrace.asked_for": "true"}


def _resource(relay: str) -> Path:
    worker = "event-worker"
    # What the worker asks in its transaction is its own affair; that it stores and commits is not.
    processed = Node(
        f"{worker}: process resource.created",
        (
            Node(f"{worker}: BEGIN"),
            Node(f"{worker}: INSERT processed_events"),
            Node(f"{worker}: COMMIT"),
        ),
        first=f"{worker}: BEGIN",
        last=f"{worker}: COMMIT",
        more=True,
    )
    root = Node(
        "rest-service: POST /api/v1/resources",
        (
            Node("rest-service: INSERT resources INSERT outbox_events"),
            Node(f"{relay}: send resource.created", (processed,)),
        ),
        more=True,  # of the cache it shares
    )
    return Path("a resource", root, _answered(201))


def _document() -> Path:
    stored = Node(
        "stream-writer: process data:stream",
        (Node("stream-writer: INSERT documents"), Node("stream-writer: EVALSHA")),
        first="stream-writer: INSERT documents",
        last="stream-writer: EVALSHA",
    )
    sent = Node(
        "ingest-service: send data:stream",
        (Node("ingest-service: EVALSHA"), stored),
        first="ingest-service: EVALSHA",
    )
    root = Node("ingest-service: POST /api/data", (sent,))
    return Path("a document", root, _answered(202))


def _point() -> Path:
    rolled = Node("cpu-writer: roll up", (Node("cpu-writer: INSERT telemetry_rollups"),))
    written = Node(
        "async-writer: process telemetry.points", (Node("async-writer: INSERT telemetry"),)
    )
    sent = Node(
        "ingest-service: send telemetry.points",
        (written, Node("cpu-writer: process telemetry.points", (rolled,))),
    )
    root = Node("ingest-service: POST /api/v1/telemetry", (sent,))
    return Path("a point", root, _answered(202))


RESOURCE: Final = _resource("outbox-relay-rest")
DOCUMENT: Final = _document()
POINT: Final = _point()
