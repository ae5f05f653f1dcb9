"""The routes for administrators, below /oauth/clients."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from services.auth_service.administration import Administration, Administrator
from services.auth_service.models import (
    ClientDetails,
    ClientId,
    ClientInfo,
    ClientInput,
    ClientPage,
    NewClient,
    NewSecret,
    SecretInfo,
    SecretInput,
)
from services.contracts.ids import is_uuid7
from services.contracts.scopes import CLIENTS_ADMIN
from services.shared.http.cursors import bad_cursor
from services.shared.http.gate import needs
from services.shared.http.headers import json_only
from services.shared.http.openapi import problems
from services.shared.runtime.cursors import seal, unseal

_REASONS = {
    400: "The body cannot be read",
    404: "No such client, or it is not active where it has to be",
    409: "Two secrets are valid already; `detail` says until when",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "A field, parameter or id is refused; `errors` names each",
    500: "An error of ours; report its correlation_id",
    503: "The database cannot be reached; Retry-After says when to try again",
}
PATH: Final = "/oauth/clients"


class ListQuery(BaseModel):
    """Keyset pagination: a page costs the same wherever it lies."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=200)
    cursor: Annotated[
        str | None, WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_-]{48}$"})
    ] = Field(default=None, description="next_cursor of the page before; no other is accepted")
    active: Annotated[bool | None, WithJsonSchema({"type": "boolean"})] = Field(
        default=None, description="Only those that are, or are not; absent: all"
    )


def _administration(request: Request) -> Administration:
    return request.app.state.administration


async def _administrator(request: Request) -> Administrator:
    # Let in by the gate, so this is only to name it in the audit log.
    token = request.app.state.guard.read(request.headers["authorization"].encode("latin-1"))
    address = request.client.host if request.client else "unknown"
    return Administrator(token.client_id if token else "unknown", address)


async def _json_only(request: Request) -> None:
    json_only(request)


By = Annotated[Administrator, Depends(_administrator)]
Id = Annotated[ClientId, Path()]

router = APIRouter(prefix=PATH, tags=["clients"])
_ADMIN = needs(CLIENTS_ADMIN)


@router.post(
    "",
    status_code=201,
    responses=problems(_REASONS, 400, 413, 415, 422),
    dependencies=[_ADMIN, Depends(_json_only)],
)
async def register(by: By, given: ClientInput, request: Request, response: Response) -> NewClient:
    """Register a client (RFC 7591). The secret is in this answer and nowhere else.

    If the answer is lost, there may be a client whose secret nobody has: deactivate it.
    """
    response.headers["Cache-Control"] = "no-store"
    return await _administration(request).register(by, given)


@router.get("", responses=problems(_REASONS, 422), dependencies=[_ADMIN])
async def list_clients(
    by: By, query: Annotated[ListQuery, Query()], request: Request
) -> ClientPage:
    """Clients, newest first."""
    before = None
    if query.cursor is not None:
        before = unseal(query.cursor)
        if not is_uuid7(before):
            raise bad_cursor()
    found = await _administration(request).list(before, query.limit + 1, query.active)
    items = [ClientInfo.of(record) for record in found[: query.limit]]
    more = len(found) > query.limit
    return ClientPage(items=items, next_cursor=seal(items[-1].client_id) if more else None)


@router.get("/{client_id}", responses=problems(_REASONS, 404, 422), dependencies=[_ADMIN])
async def get(by: By, client_id: Id, request: Request) -> ClientDetails:
    """One client, active or not."""
    record = await _administration(request).get(client_id)
    secrets = [SecretInfo(issued_at=s.issued_at, expires_at=s.expires_at) for s in record.secrets]
    return ClientDetails(**ClientInfo.of(record).model_dump(), secrets=secrets)


@router.delete(
    "/{client_id}", status_code=204, responses=problems(_REASONS, 404, 422), dependencies=[_ADMIN]
)
async def deactivate(by: By, client_id: Id, request: Request) -> None:
    """Deactivate a client: it gets no more tokens. Those it has last until they end."""
    await _administration(request).deactivate(by, client_id)


@router.post(
    "/{client_id}/secrets",
    status_code=201,
    responses=problems(_REASONS, 400, 404, 409, 413, 415, 422),
    dependencies=[_ADMIN, Depends(_json_only)],
)
async def replace_secret(
    by: By, client_id: Id, given: SecretInput, request: Request, response: Response
) -> NewSecret:
    """A new secret; the one before stays valid for the overlap. At most two are valid."""
    response.headers["Cache-Control"] = "no-store"
    return await _administration(request).replace_secret(by, client_id, given)
