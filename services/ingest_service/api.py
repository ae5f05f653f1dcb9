"""The routes under /api/data as the OpenAPI document describes them.

They are answered in endpoints.py, before the framework sees a request; for the methods that they
lack the framework answers.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from services.contracts.scopes import DATA_READ, DATA_WRITE
from services.shared.documents.headers import IdempotencyKey
from services.shared.documents.openapi import DOCUMENT, as_json, problems
from services.shared.documents.pages import PAGE, ListQuery
from services.shared.http.gate import needs


class Ids(BaseModel):
    """The ids of the documents that were accepted, in the order in which they came."""

    ids: list[str]


PATH = "/api/data"

router = APIRouter(prefix=PATH, tags=["data"])


@router.post(
    "",
    status_code=202,
    dependencies=[needs(DATA_WRITE)],
    responses=problems(400, 413, 415, 422),
)
async def accept(key: IdempotencyKey) -> Ids:
    """Accept one document or a batch.

    With the 202 they are durable, can be read from every process, and come into the database in
    a while. After a 503 that says so, or no answer at all, they may have been accepted all the
    same: sending the same documents with the same ids again is safe.
    """
    raise NotImplementedError


@router.get(
    "",
    dependencies=[needs(DATA_READ)],
    response_class=Response,
    responses={**as_json("A page; next_cursor is null on the last one", PAGE), **problems(422)},
)
async def list_documents(query: Annotated[ListQuery, Query()]) -> Response:
    """Documents that are in the database, the one that came into it last first.

    What has been accepted a moment ago may be missing here; by its id it is found at once. A page
    is at most a second old (INGEST_PAGE_SECONDS), and while the database is away at most a minute
    (INGEST_PAGE_STALE_SECONDS).
    """
    raise NotImplementedError


@router.get(
    "/{document_id:path}",
    dependencies=[needs(DATA_READ)],
    response_class=Response,
    responses={**as_json("The document", DOCUMENT), **problems(404)},
)
async def get(document_id: str) -> Response:
    """The document that was accepted last under this id; what was answered with 202 is here."""
    raise NotImplementedError
