"""What the routes under /data do: called past the framework, which describes them (api.py), as
ingest-service's are, so that a comparison of the two is one of what stands behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic_core import to_json
from starlette.requests import Request

from services.rest_service.documents.service import DocumentService
from services.shared.documents import bodies
from services.shared.documents.pages import ListQuery
from services.shared.http.direct import Call, Reply
from services.shared.http.headers import idempotency_key, json_only
from services.shared.http.problem import ProblemError
from services.shared.http.queries import read_query


@dataclass(frozen=True)
class Limits:
    """As ingest-service has them unless it is told others."""

    max_documents: int = 500
    max_depth: int = 32


LIMITS: Final = Limits()
MAX_BODY: Final = 1024 * 1024
"""Bytes of one request."""


class Endpoints:
    """Raise what the service raises, and ProblemError."""

    def __init__(self, service: DocumentService) -> None:
        self._service = service

    async def store(self, call: Call) -> Reply:
        """POST: documents in, their ids out."""
        if call.fields.get(b"content-type") != b"application/json":
            json_only(Request(call.scope))
        key = None
        if b"idempotency-key" in call.fields:
            key = idempotency_key(Request(call.scope), bodies.MAX_ID)
        given = bodies.read(call.body, key, LIMITS)
        await self._service.write(given)
        return Reply(201, to_json({"ids": [id for id, _ in given]}))

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
