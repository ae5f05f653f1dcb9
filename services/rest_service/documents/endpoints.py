"""What the routes under /data do: called past the framework, which describes them (api.py), as
ingest-service's are, so that a comparison of the two is one of what stands behind them."""

from __future__ import annotations

from pydantic_core import to_json

from services.rest_service.documents.service import DocumentService
from services.shared.documents.endpoints import given, shown
from services.shared.documents.limits import LIMITS
from services.shared.documents.pages import ListQuery
from services.shared.http.direct import Call, Reply
from services.shared.http.queries import read_query


class Endpoints:
    """Raise what the service raises, and ProblemError."""

    def __init__(self, service: DocumentService) -> None:
        self._service = service

    async def store(self, call: Call) -> Reply:
        """POST: documents in, their ids out."""
        documents = given(call, LIMITS)
        await self._service.write(documents)
        return Reply(201, to_json({"ids": [id for id, _ in documents]}))

    async def list(self, call: Call) -> Reply:
        """GET: a page."""
        query = read_query(ListQuery, call.scope)
        return Reply(200, await self._service.page(query.cursor, query.limit))

    async def get(self, call: Call) -> Reply:
        """GET with an id."""
        return await shown(call, self._service.get)
