"""The routes under /data as the OpenAPI document describes them: the same as ingest-service's, but
stored before the answer.

They are answered in endpoints.py, before the framework sees a request; for the methods that they
lack the framework answers.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from services.contracts.scopes import DATA_READ, DATA_WRITE
from services.shared.documents.headers import IdempotencyKey
from services.shared.documents.openapi import DOCUMENT, as_json, problems
from services.shared.documents.pages import PAGE, ListQuery
from services.shared.http.gate import needs

PATH: Final = "/data"


class StoredIds(BaseModel):
    """The ids of the documents that were stored, in the order in which they came."""

    ids: list[str]


router = APIRouter(prefix=PATH, tags=["data"])


@router.post(
    "",
    status_code=201,
    dependencies=[needs(DATA_WRITE)],
    responses=problems(400, 413, 415, 422),
)
async def store(key: IdempotencyKey) -> StoredIds:
    """Store one document or a batch, all or none.

    With the 201 they are durable in the database. After a 503, or no answer at all, they may
    have been stored all the same: sending the same documents with the same ids again is safe.
    """
    raise NotImplementedError


@router.get(
    "",
    dependencies=[needs(DATA_READ)],
    response_class=Response,
    responses={**as_json("A page; next_cursor is null on the last one", PAGE), **problems(422)},
)
async def list_documents(query: Annotated[ListQuery, Query()]) -> Response:
    """Documents, the one that was stored first last."""
    raise NotImplementedError


@router.get(
    "/{document_id:path}",
    dependencies=[needs(DATA_READ)],
    response_class=Response,
    responses={**as_json("The document", DOCUMENT), **problems(404)},
)
async def get(document_id: str) -> Response:
    """The document that was stored last under this id; at most 60 s old when Redis was out of
    reach of a writer, else current."""
    raise NotImplementedError
