"""Errors as application/problem+json (RFC 9457), each with the request's correlation id."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """One field that was refused."""

    field: str = Field(description="Where: body.name, query.limit, path.resource_id, …")
    reason: str


class ProblemDocument(BaseModel):
    """The body of every error response, as OpenAPI documents it."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="urn:millrace:problem:… names the kind of problem")
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked for; empty when it was not read")
    correlation_id: str = Field(description="Also in the X-Correlation-ID header and in the logs")
    errors: list[FieldError] = []


class ProblemError(Exception):
    """Raise it to answer with a problem document.

    `kind` becomes the last part of the type URN; `detail` says the reason and the way out.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        errors: list[FieldError] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = errors or []
        self.headers = dict(headers or {})


def unavailable(what: str, retry_after: int = 2) -> ProblemError:
    """503 with Retry-After in seconds: `what` is away, and nothing was changed knowingly."""
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "unavailable",
        f"{what} cannot be reached at the moment; try again after {retry_after} s",
        headers={"Retry-After": str(retry_after)},
    )


def response(problem: ProblemError, instance: str, correlation_id: str) -> JSONResponse:
    """The HTTP response for a problem."""
    body: dict[str, Any] = {
        "type": f"urn:millrace:problem:{problem.kind}",
        "title": HTTPStatus(problem.status).phrase,
        "status": int(problem.status),
        "detail": problem.detail,
        "instance": instance,
        "correlation_id": correlation_id,
    }
    if problem.errors:
        body["errors"] = [error.model_dump() for error in problem.errors]
    return JSONResponse(
        body, status_code=problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )
