"""What the routes under /api/data do: called past the framework, which describes them (api.py)."""

from __future__ import annotations

from pydantic_core import to_json
from starlette.requests import Request

from services.ingest_service.service import IngestService
from services.ingest_service.settings import IngestSettings
from services.shared.documents import bodies
from services.shared.documents.pages import ListQuery
from services.shared.http.direct import Call, Reply
from services.shared.http.headers import idempotency_key, json_only
from services.shared.http.problem import ProblemError
from services.shared.http.queries import read_query
from services.shared.stream.accept import Accepted


class Endpoints:
    """Raise what the service raises, and ProblemError."""

    def __init__(self, service: IngestService, settings: IngestSettings) -> None:
        self._service = service
        self._settings = settings

    async def accept(self, call: Call) -> Reply:
        """POST: documents in, their ids out."""
        if call.fields.get(b"content-type") != b"application/json":
            json_only(Request(call.scope))
        key = None
        if b"idempotency-key" in call.fields:
            key = idempotency_key(Request(call.scope), bodies.MAX_ID)
        self._service.admit()
        given = bodies.read(call.body, key, self._settings)
        trace, correlation = call.traceparent, call.correlation_id
        await self._service.accept(
            [Accepted(id, document, trace, correlation) for id, document in given]
        )
        return Reply(202, to_json({"ids": [id for id, _ in given]}))

    async def list(self, call: Call) -> Reply:
        """GET: a page."""
        query = read_query(ListQuery, call.scope)
        return Reply(200, await self._service.page(query.cursor, query.limit))

    async def get(self, call: Call) -> Reply:
        """GET with an id."""
        document = await self._service.get(call.rest) if bodies.is_id(call.rest) else None
        if document is None:
            raise ProblemError(404, "no-such-document", "no document has this id")
        return Reply(200, document)
