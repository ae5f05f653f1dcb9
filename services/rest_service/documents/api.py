"""The routes under /data: the same as ingest-service's, but stored before the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from services.rest_service.documents.service import DocumentService
from services.shared.documents import bodies, cursors
from services.shared.documents.headers import IdempotencyKey
from services.shared.documents.openapi import DOCUMENT, as_json, problems
from services.shared.documents.pages import PAGE, ListQuery, page
from services.shared.http.headers import json_only
from services.shared.http.problem import ProblemError

PATH: Final = "/data"
MAX_BODY: Final = 1024 * 1024
"""Bytes of one request."""


@dataclass(frozen=True)
class Limits:
    """As ingest-service has them unless it is told others."""

    max_documents: int = 500
    max_depth: int = 32


LIMITS: Final = Limits()


class StoredIds(BaseModel):
    """The ids of the documents that were stored, in the order in which they came."""

    ids: list[str]


def _service(request: Request) -> DocumentService:
    return request.app.state.documents


Service = Annotated[DocumentService, Depends(_service)]

router = APIRouter(prefix=PATH, tags=["data"])


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(json_only)],
    responses=problems(400, 413, 415, 422),
)
async def store(request: Request, key: IdempotencyKey, service: Service) -> StoredIds:
    """Store one document or a batch, all or none.

    With the 201 they are durable in the database. After a 503, or no answer at all, they may
    have been stored all the same: sending the same documents with the same ids again is safe.
    """
    given = bodies.read(await request.body(), key, LIMITS)
    await service.write(given)
    return StoredIds(ids=[id for id, _ in given])


@router.get(
    "",
    response_class=Response,
    responses={
        **as_json("A page; next_cursor is null on the last one", PAGE),
        **problems(422),
    },
)
async def list_documents(query: Annotated[ListQuery, Query()], service: Service) -> Response:
    """Documents, the one that was stored first last."""
    before = cursors.decode(query.cursor) if query.cursor is not None else None
    # One more than asked for tells whether there is another page.
    found = await service.newest(before, query.limit + 1)
    return _answer(page(found, query.limit))


@router.get(
    "/{document_id:path}",
    response_class=Response,
    responses={
        **as_json("The document", DOCUMENT),
        **problems(404),
    },
)
async def get(document_id: str, service: Service) -> Response:
    """The document that was stored last under this id; at most 60 s old when Redis was out of
    reach of a writer, else current."""
    document = await service.get(document_id) if bodies.is_id(document_id) else None
    if document is None:
        raise ProblemError(404, "no-such-document", "no document has this id")
    return _answer(document)


def _answer(body: bytes) -> Response:
    return Response(body, media_type="application/json")
