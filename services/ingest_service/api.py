"""The routes under /api/data."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from services.ingest_service.service import IngestService
from services.ingest_service.settings import IngestSettings
from services.shared.documents import bodies, cursors
from services.shared.documents.headers import IdempotencyKey
from services.shared.documents.openapi import DOCUMENT, as_json, problems
from services.shared.documents.pages import PAGE, ListQuery, page
from services.shared.http.headers import json_only
from services.shared.http.problem import ProblemError
from services.shared.stream.accept import Accepted


class Ids(BaseModel):
    """The ids of the documents that were accepted, in the order in which they came."""

    ids: list[str]


def _service(request: Request) -> IngestService:
    return request.app.state.ingest


def _settings(request: Request) -> IngestSettings:
    return request.app.state.settings


Service = Annotated[IngestService, Depends(_service)]
Settings = Annotated[IngestSettings, Depends(_settings)]

PATH = "/api/data"

router = APIRouter(prefix=PATH, tags=["data"])


@router.post(
    "",
    status_code=202,
    dependencies=[Depends(json_only)],
    responses=problems(400, 413, 415, 422),
)
async def accept(
    request: Request, key: IdempotencyKey, service: Service, settings: Settings
) -> Ids:
    """Accept one document or a batch.

    With the 202 they are durable, can be read from every process, and come into the database in
    a while. After a 503 that says so, or no answer at all, they may have been accepted all the
    same: sending the same documents with the same ids again is safe.
    """
    service.admit()
    given = bodies.read(await request.body(), key, settings)
    trace, correlation = request.state.traceparent, request.state.correlation_id
    await service.accept([Accepted(id, document, trace, correlation) for id, document in given])
    return Ids(ids=[id for id, _ in given])


@router.get(
    "",
    response_class=Response,
    responses={
        **as_json(
            "A page; next_cursor is null on the last one",
            PAGE,
        ),
        **problems(422),
    },
)
async def list_documents(query: Annotated[ListQuery, Query()], service: Service) -> Response:
    """Documents that are in the database, the one that came into it last first.

    What has been accepted a moment ago may be missing here; by its id it is found at once.
    """
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
    """The document that was accepted last under this id; what was answered with 202 is here."""
    document = await service.get(document_id) if bodies.is_id(document_id) else None
    if document is None:
        raise ProblemError(404, "no-such-document", "no document has this id")
    return _answer(document)


def _answer(body: bytes) -> Response:
    return Response(body, media_type="application/json")
