"""What the routes under /api/data do: called past the framework, which describes them (api.py)."""

from __future__ import annotations

from pydantic_core import to_json

from services.ingest_service.service import IngestService
from services.ingest_service.settings import IngestSettings
from services.shared.documents.endpoints import given, shown
from services.shared.documents.pages import ListQuery
from services.shared.http.direct import Call, Reply
from services.shared.http.queries import read_query
from services.shared.stream.accept import Accepted
from services.shared.stream.names import STREAM
from services.shared.tracing import spans


class Endpoints:
    """Raise what the service raises, and ProblemError."""

    def __init__(self, service: IngestService, settings: IngestSettings) -> None:
        self._service = service
        self._settings = settings

    async def accept(self, call: Call) -> Reply:
        """POST: documents in, their ids out."""
        # Before anything is read: what is not let in costs nothing.
        self._service.admit()
        documents = given(call, self._settings)
        correlation = call.correlation_id
        with spans.sending("redis", STREAM, len(documents)) as span:
            trace = spans.passed_on(span, call.traceparent)
            await self._service.accept(
                [Accepted(id, document, trace, correlation) for id, document in documents]
            )
        return Reply(202, to_json({"ids": [id for id, _ in documents]}))

    async def list(self, call: Call) -> Reply:
        """GET: a page."""
        query = read_query(ListQuery, call.scope)
        return Reply(200, await self._service.page(query.cursor, query.limit))

    async def get(self, call: Call) -> Reply:
        """GET with an id."""
        return await shown(call, self._service.get)
