"""The trees of what services that answer do for a request, without the servers they stand on."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from services.auth_service.hashing import Hasher
from services.contracts.envelope import TRACEPARENT
from services.ingest_service.app import create_app as create_ingest
from services.ingest_service.gathering import Gatherer
from services.ingest_service.metrics import IngestMetrics
from services.ingest_service.service import IngestService
from services.ingest_service.settings import IngestSettings
from services.ingest_service.telemetry.messages import Headers, Message
from services.ingest_service.telemetry.metrics import TelemetryMetrics
from services.ingest_service.telemetry.sending import Sender
from services.ingest_service.telemetry.service import Telemetry
from services.ingest_service.telemetry.settings import PointSettings
from services.ingest_service.telemetry.store import Store
from services.rest_service.app import create_app as create_rest
from services.rest_service.documents.service import DocumentService
from services.rest_service.models import Resource, ResourceInput
from services.rest_service.service import ResourceService
from services.shared.http.health import Readiness
from services.shared.outbox.events import Origin, Outbox, with_event
from services.shared.postgres.database import Database
from services.shared.runtime.context import TraceContext
from services.shared.runtime.metrics import new_registry
from services.shared.stream.accept import Accepted
from services.shared.tracing import spans
from tests.harness.traces import CALLER, TRACE, Spans, about, links_of, recording, span_of

JSON = {"content-type": "application/json", "traceparent": CALLER}
POINT = {"device_id": "d", "metric": "m", "ts": "2026-01-01T00:00:00Z", "value": 1}


@pytest.fixture
def traces() -> Any:
    with recording() as kept:
        yield kept


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here")


class Row:
    """In place of PostgreSQL: keeps what it was given."""

    def __init__(self) -> None:
        self.given: tuple[object, ...] = ()

    async def fetchrow(self, statement: str, *args: object) -> dict[str, object]:
        with spans.step("INSERT resources INSERT outbox_events", "CLIENT", {}):
            self.given = args
        return {"id": args[0]}


class Resources:
    """In place of the service, with its outbox."""

    def __init__(self, row: Row) -> None:
        self._outbox = Outbox(cast(Database, row))

    async def create(self, given: ResourceInput, origin: Origin, _key: str | None) -> Resource:
        await self._outbox.write(with_event("", "a", "b", "c"), "1", origin)
        now = datetime.now(UTC)
        return Resource.model_validate(
            {"id": "01a1fb67-1800-7000-8000-000000000000", "version": 1, **given.model_dump()}
            | {"created_at": now, "updated_at": now}
        )


async def test_a_resource_is_a_request_a_statement_and_a_row_that_remembers_the_request(
    traces: Spans,
) -> None:
    row, registry = Row(), new_registry()
    app = create_rest(
        "rest",
        cast(ResourceService, Resources(row)),
        cast(DocumentService, None),
        Readiness(registry),
        registry,
        guard=None,
    )
    async with client(app) as http:
        answer = await http.post("/api/v1/resources", json={"name": "a"}, headers=JSON)
    assert answer.status_code == 201
    assert traces.tree() == {
        "POST /api/v1/resources": {"INSERT resources INSERT outbox_events": {}}
    }
    request = traces.one("POST /api/v1/resources")
    assert TraceContext(TRACE, span_of(request), True).traceparent in row.given


class World:
    """The ingest service, with what it would send to others kept here."""

    def __init__(self) -> None:
        self.accepted: list[Accepted] = []
        self.calls = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.sent: list[Headers] = []
        registry = new_registry()
        metrics = IngestMetrics(registry)
        self.gatherer = Gatherer(self.accept, metrics, patience=60)
        gate: Any = type("Open", (), {"closed_for": None})()
        ingest = IngestService(gate, self.gatherer, cast(Any, None), cast(Any, None), metrics)
        of_telemetry = TelemetryMetrics(registry)
        telemetry = Telemetry(cast(Sender, self), cast(Store, None), of_telemetry)
        self.app = create_ingest(
            "ingest",
            ingest,
            IngestSettings(),
            Readiness(registry),
            registry,
            telemetry=telemetry,
            points=PointSettings(),
            guard=None,
        )

    async def accept(self, documents: Sequence[Accepted]) -> list[str]:
        self.calls += 1
        with spans.step("EVALSHA", "CLIENT", {}):
            await self.go_on.wait()
        self.accepted += documents
        return [f"{n}-0" for n, _ in enumerate(documents)]

    async def send(self, _messages: Sequence[Message], headers: Headers) -> None:
        self.sent.append(headers)


async def test_documents_are_a_request_a_sending_and_a_script_and_entries_that_remember_the_sending(
    traces: Spans,
) -> None:
    world = World()
    async with client(world.app) as http:
        body = {"documents": [{"a": 1}, {"a": 2}]}
        answer = await http.post("/api/data", json=body, headers=JSON)
    assert answer.status_code == 202
    tree = {"POST /api/data": {"send data:stream": {"EVALSHA": {}}}}
    assert traces.tree() == tree
    sending = traces.one("send data:stream")
    assert about(sending)["messaging.system"] == "redis"
    on = TraceContext(TRACE, span_of(sending), True).traceparent
    assert {one.traceparent for one in world.accepted} == {on}


async def test_requests_that_share_a_script_link_to_it(traces: Spans) -> None:
    world = World()
    world.go_on.clear()
    headers = [{**JSON, "traceparent": f"00-{n:032x}-{n:016x}-01"} for n in range(1, 5)]
    async with client(world.app) as http:
        asked = [asyncio.create_task(http.post("/api/data", json={}, headers=h)) for h in headers]
        await asyncio.sleep(0.2)
        world.go_on.set()
        assert [(await one).status_code for one in asked] == [202] * 4
    scripts = traces.named("EVALSHA")
    assert len(scripts) == world.calls < 4
    assert sum(1 + len(links_of(one)) for one in scripts) == 4
    sendings = {span_of(one) for one in traces.named("send data:stream")}
    assert set[str]().union(*(links_of(one) for one in scripts)) < sendings


async def test_points_are_a_request_and_a_sending_that_their_messages_remember(
    traces: Spans,
) -> None:
    world = World()
    async with client(world.app) as http:
        answer = await http.post("/api/v1/telemetry", json={"points": [POINT] * 3}, headers=JSON)
    assert answer.status_code == 202
    tree = {"POST /api/v1/telemetry": {"send telemetry.points": {}}}
    assert traces.tree() == tree
    sending = traces.one("send telemetry.points")
    assert about(sending)["messaging.batch.message_count"] == 3
    on = TraceContext(TRACE, span_of(sending), True).traceparent
    assert dict(world.sent[0])[TRACEPARENT] == on.encode()


async def test_what_is_not_recorded_passes_its_own_traceparent_on(traces: Spans) -> None:
    world = World()
    unsampled = CALLER[:-1] + "0"
    async with client(world.app) as http:
        await http.post("/api/data", json={}, headers={**JSON, "traceparent": unsampled})
        await http.post("/api/data", json={}, headers={"content-type": "application/json"})
    assert traces.all == []
    first, second = (TraceContext.parse(one.traceparent) for one in world.accepted)
    assert first is not None
    assert second is not None
    assert (first.trace_id, first.sampled, second.sampled) == (TRACE, False, False)


async def test_verifying_a_secret_is_a_step(traces: Spans) -> None:
    hasher = Hasher(1)
    hashed = await hasher.hash("secret")
    with recording() as kept:
        _, span = spans.server(CALLER, quiet=False)
        assert span is not None
        with spans.Step(span):
            assert await hasher.matches("secret", hashed)
        assert kept.tree() == {"HTTP": {"bcrypt": {}}}
    hasher.close()
    assert traces.all == []
