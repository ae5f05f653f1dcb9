"""The routes under /api/v1/resources."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from services.contracts.ids import is_uuid7
from services.contracts.scopes import RESOURCES_READ, RESOURCES_WRITE
from services.rest_service.headers import ExpectedVersion, IdempotencyKey
from services.rest_service.models import Resource, ResourceId, ResourceInput, ResourcePage
from services.rest_service.service import ResourceService
from services.shared.http.cursors import bad_cursor
from services.shared.http.gate import needs
from services.shared.http.headers import json_only
from services.shared.http.openapi import problems
from services.shared.outbox.events import Origin
from services.shared.runtime.cursors import seal, unseal

_REASONS = {
    400: "The body or a header cannot be read",
    404: "No such resource",
    412: "The resource is not in the version that If-Match names",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "A field, parameter or id is refused; `errors` names each",
    500: "An error of ours; report its correlation_id",
    503: "The database cannot be reached; Retry-After says when to try again",
}


class ListQuery(BaseModel):
    """Keyset pagination: a page costs the same wherever it lies."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=200)
    cursor: Annotated[
        str | None, WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_-]{48}$"})
    ] = Field(default=None, description="next_cursor of the page before; no other is accepted")


async def _service(request: Request) -> ResourceService:
    return request.app.state.resources


async def _origin(request: Request) -> Origin:
    return Origin(request.state.correlation_id, request.state.traceparent)


async def _json_only(request: Request) -> None:
    json_only(request)


# Coroutines all: the framework hands plain functions to threads, each at the price of a request.
Service = Annotated[ResourceService, Depends(_service)]
From = Annotated[Origin, Depends(_origin)]
Id = Annotated[ResourceId, Path()]

PATH: Final = "/api/v1/resources"
BY_ID: Final = f"{PATH}/{{resource_id}}"

router = APIRouter(prefix=PATH, tags=["resources"])


@router.post(
    "",
    status_code=201,
    dependencies=[needs(RESOURCES_WRITE)],
    responses=problems(_REASONS, 400, 413, 415, 422),
)
async def create(given: ResourceInput, key: IdempotencyKey) -> Resource:
    """Create a resource and its resource.created event.

    After a 503, or none at all, the resource may exist all the same: the answer, not the write,
    may be what got lost. With an Idempotency-Key the request can simply be sent again; a
    key that came before with other content is 422.
    """
    raise NotImplementedError  # answered in endpoints.py, before this


@router.get("", dependencies=[needs(RESOURCES_READ)], responses=problems(_REASONS, 422))
async def list_resources(query: Annotated[ListQuery, Query()], service: Service) -> ResourcePage:
    """Resources, newest first."""
    before = _decode_cursor(query.cursor) if query.cursor is not None else None
    # One more than asked for tells whether there is another page.
    found = await service.list(before, query.limit + 1)
    items = found[: query.limit]
    more = len(found) > query.limit
    return ResourcePage(items=items, next_cursor=seal(items[-1].id) if more else None)


@router.get(
    "/{resource_id}",
    dependencies=[needs(RESOURCES_READ)],
    responses=problems(_REASONS, 404, 422),
)
async def get(resource_id: Id) -> Resource:
    """One resource; at most 60 s old when Redis was out of reach of a writer, else current."""
    raise NotImplementedError  # an id that is one is answered in endpoints.py, before this


@router.put(
    "/{resource_id}",
    dependencies=[needs(RESOURCES_WRITE), Depends(_json_only)],
    responses=problems(_REASONS, 400, 404, 412, 413, 415, 422),
)
async def update(
    *,
    resource_id: Id,
    given: ResourceInput,
    service: Service,
    origin: From,
    expected: ExpectedVersion,
    response: Response,
) -> Resource:
    """Replace a resource, and create its resource.updated event."""
    resource = await service.update(resource_id, given, origin, expected)
    response.headers["ETag"] = _etag(resource)
    return resource


@router.delete(
    "/{resource_id}",
    status_code=204,
    dependencies=[needs(RESOURCES_WRITE)],
    responses=problems(_REASONS, 400, 404, 412, 422),
)
async def delete(
    resource_id: Id, service: Service, origin: From, expected: ExpectedVersion
) -> None:
    """Delete a resource, and create its resource.deleted event."""
    await service.delete(resource_id, origin, expected)


def _etag(resource: Resource) -> str:
    return f'"{resource.version}"'


def _decode_cursor(cursor: str) -> str:
    resource_id = unseal(cursor)
    if not is_uuid7(resource_id):
        raise bad_cursor()
    return resource_id
