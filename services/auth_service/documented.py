"""What the OpenAPI document says of the endpoints that are answered past the framework."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.auth_service.discovery import INTROSPECT, JWKS, METADATA, REVOKE, TOKEN
from services.auth_service.models import SCOPE_PATTERN
from services.shared.http.gate import openly
from services.shared.http.openapi import problems


class TokenAnswer(BaseModel):
    """RFC 6749, 5.1."""

    access_token: str = Field(description="A JWT by RFC 9068")
    token_type: str
    expires_in: int = Field(description="Seconds")
    scope: str


class ErrorAnswer(BaseModel):
    """RFC 6749, 5.2."""

    error: str
    error_description: str


class Introspection(BaseModel):
    """RFC 7662, 2.2; of a token that is not active nothing but that."""

    active: bool
    token_type: str | None = None
    scope: str | None = None
    client_id: str | None = None
    sub: str | None = None
    aud: str | None = None
    iss: str | None = None
    jti: str | None = None
    iat: int | None = None
    exp: int | None = None


class Nothing(BaseModel):
    """An empty object."""


class Metadata(BaseModel):
    """RFC 8414, 2."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    introspection_endpoint: str
    introspection_endpoint_auth_methods_supported: list[str]
    revocation_endpoint: str
    revocation_endpoint_auth_methods_supported: list[str]


class JwkSet(BaseModel):
    """RFC 7517, 5."""

    keys: list[dict[str, str]]


_REFUSALS: Final = {
    400: "The request is refused; `error` says why",
    401: "The client is unknown, or its secret is wrong",
    429: "Too many wrong secrets; Retry-After says when to try again",
    503: "The database cannot be reached; Retry-After says when to try again",
}
_CREDENTIALS: Final = {
    "client_id": {"type": "string", "minLength": 1, "maxLength": 512},
    "client_secret": {"type": "string", "minLength": 1, "maxLength": 512},
}
_TOKEN_FIELDS: Final = {
    "grant_type": {"type": "string", "enum": ["client_credentials"]},
    "scope": {"type": "string", "pattern": SCOPE_PATTERN},
}
_ASKED_FIELDS: Final = {
    "token": {"type": "string", "minLength": 1},
    "token_type_hint": {"type": "string", "enum": ["access_token"]},
}

router = APIRouter(tags=["oauth"])


def _form(fields: dict[str, Any], required: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {**fields, **_CREDENTIALS},
        "required": [required],
    }
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def _refusals() -> dict[int | str, dict[str, Any]]:
    told = {status: {"model": ErrorAnswer, "description": why} for status, why in _REFUSALS.items()}
    return {
        **problems({413: "The body is too large", 500: "An error of ours", 503: ""}, 413),
        **told,
    }


_OPENLY = [openly("clients show their secret")]


@router.post(
    TOKEN,
    openapi_extra=_form(_TOKEN_FIELDS, "grant_type"),
    responses=_refusals(),
    dependencies=_OPENLY,
)
async def token() -> TokenAnswer:
    """An access token by client credentials (RFC 6749, 4.4), in HTTP Basic or the form.

    Without `scope`: all that the client may have.
    """
    raise NotImplementedError  # answered in endpoints.py, before this


@router.post(
    INTROSPECT,
    openapi_extra=_form(_ASKED_FIELDS, "token"),
    responses=_refusals(),
    dependencies=_OPENLY,
    response_model_exclude_unset=True,
)
async def introspect() -> Introspection:
    """Whether a token is active (RFC 7662): a client's own; who administers clients, any."""
    raise NotImplementedError  # answered in endpoints.py, before this


@router.post(
    REVOKE,
    openapi_extra=_form(_ASKED_FIELDS, "token"),
    responses=_refusals(),
    dependencies=_OPENLY,
)
async def revoke() -> Nothing:
    """Revoke a token (RFC 7009); one that is unknown is answered 200, too.

    Who verifies tokens by their signature alone does not see it: there they last until they end.
    """
    raise NotImplementedError  # answered in endpoints.py, before this


@router.get(METADATA, dependencies=[openly("clients read it before they have a token")])
async def metadata() -> Metadata:
    """The server's metadata (RFC 8414)."""
    raise NotImplementedError  # answered in discovery.py, before this


@router.get(JWKS, dependencies=[openly("who verifies tokens has none")])
async def jwks() -> JwkSet:
    """The public keys of tokens (RFC 7517)."""
    raise NotImplementedError  # answered in discovery.py, before this


def complete(document: dict[str, Any]) -> None:
    """Say where clients show their secret."""
    schemes = document["components"].setdefault("securitySchemes", {})
    schemes["client"] = {"type": "http", "scheme": "basic", "description": "RFC 6749, 2.3.1"}
    for path in (TOKEN, INTROSPECT, REVOKE):
        # Or in the form.
        document["paths"][path]["post"]["security"] = [{"client": []}, {}]
