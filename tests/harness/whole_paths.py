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


RELAY: Final = "outbox-relay-rest"
RELAY_OF_TASKS: Final = "outbox-relay-grpc"
TASKS: Final = "grpc-service"


def _transaction(service: str, topic: str, *statements: str) -> Node:
    # What else is asked in the transaction is the service's own affair.
    asked = (f"{service}: BEGIN", *(f"{service}: {one}" for one in statements))
    return Node(
        f"{service}: process {topic}",
        (*map(Node, asked), Node(f"{service}: COMMIT")),
        first=f"{service}: BEGIN",
        last=f"{service}: COMMIT",
        more=True,
    )


def _stored(topic: str) -> Node:
    return _transaction("event-worker", topic, "INSERT processed_events")


def _resource(*further: Node, name: str) -> Path:
    """`further`: what other services do of the event."""
    root = Node(
        "rest-service: POST /api/v1/resources",
        (
            Node("rest-service: INSERT resources INSERT outbox_events"),
            Node(f"{RELAY}: send resource.created", (_stored("resource.created"), *further)),
        ),
        more=True,  # of the cache it shares
    )
    return Path(name, root, _answered(201))


def _task() -> Path:
    made = _transaction(
        TASKS, "resource.created", "UPDATE task_resources INSERT tasks INSERT outbox_events"
    )
    begun = Node(f"{RELAY_OF_TASKS}: send task.process", (_stored("task.process"),))
    run = Node(
        f"{TASKS}: run task",
        (
            Node(f"{TASKS}: UPDATE task_resources UPDATE tasks INSERT outbox_events"),
            Node(f"{RELAY_OF_TASKS}: send task.completed", (_stored("task.completed"),)),
        ),
        more=True,
    )
    return _resource(made, begun, run, name="a resource and its task")


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


RESOURCE: Final = _resource(name="a resource")
"""Where nobody makes tasks of it."""
TASK: Final = _task()
DOCUMENT: Final = _document()
POINT: Final = _point()
