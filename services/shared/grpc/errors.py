"""Errors as google.rpc.Status, each with the call's correlation id (https://google.aip.dev/193)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import grpc
from google.protobuf import any_pb2, duration_pb2, message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.shared.http.problem import FieldError, ProblemError

DOMAIN: Final = "millrace"
"""Of the reasons: whose they are."""
# All of it goes into metadata, of which clients take 8 KiB unless they are told otherwise: one that
# gets more is told nothing at all. The message is there twice, once with three bytes for one.
_LONGEST: Final = 500
_MOST_OF_FIELDS: Final = 3000


class StatusError(Exception):
    """Raise it to end a call with a status.

    `reason` names the kind of error in UPPER_CASE, for programs; `message` says the reason and the
    way out, for people; `fields` are those of the request that were refused; `retry_after`, in
    seconds, is said when the same call may be tried again; `about`: facts for programs.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        fields: Sequence[FieldError] = (),
        retry_after: float | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = _cut(message)
        self.fields = fields
        self.retry_after = retry_after
        self.about = about or {}


Explain = Callable[[Exception], StatusError | None]
"""Which status an exception means; None: it is a mistake of ours."""


def invalid(*fields: FieldError) -> StatusError:
    """INVALID_ARGUMENT: these fields are refused, by their paths in the request."""
    named = ", ".join(dict.fromkeys(field.field for field in fields))
    return StatusError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        f"refused: {named}; see the field violations for the reasons",
        fields=fields,
    )


def unavailable(what: str, retry_after: float = 2) -> StatusError:
    """UNAVAILABLE: `what` is away, and nothing was changed knowingly."""
    return StatusError(
        grpc.StatusCode.UNAVAILABLE,
        "UNAVAILABLE",
        f"{what} cannot be reached at the moment; try again after {retry_after:g} s",
        retry_after=retry_after,
    )


def exhausted(what: str, most: int, retry_after: float = 1) -> StatusError:
    """RESOURCE_EXHAUSTED: as many `what` as there may be are there."""
    return StatusError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "TOO_MANY",
        f"{most} {what} are under way, and no more are taken; try again after {retry_after:g} s",
        retry_after=retry_after,
        about={"limit": str(most)},
    )


def internal() -> StatusError:
    """INTERNAL, which says nothing of what happened: the log does."""
    return StatusError(
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
        "an error of ours; give us the request_id when you report it",
    )


_OF_PROBLEMS: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


def of_problem(problem: ProblemError) -> StatusError:
    """What says the same here as a problem document over HTTP: what refuses tokens, among others,
    is the same for both."""
    retry = problem.headers.get("Retry-After")
    return StatusError(
        _OF_PROBLEMS.get(problem.status, grpc.StatusCode.INTERNAL),
        problem.kind.replace("-", "_").upper(),
        problem.detail,
        fields=problem.errors,
        retry_after=None if retry is None else float(retry),
    )


def trailing(error: StatusError, correlation_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """The metadata that hold the details of an error."""
    details: list[message.Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.about),
        error_details_pb2.RequestInfo(request_id=correlation_id),
    ]
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if error.fields:
        details.append(_violations(error.fields))
    packed: list[any_pb2.Any] = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    status = status_pb2.Status(code=error.code.value[0], message=error.message, details=packed)
    return rpc_status.to_status(status).trailing_metadata


def _violations(fields: Sequence[FieldError]) -> error_details_pb2.BadRequest:
    """The first of them, as many as there is room for."""
    found = error_details_pb2.BadRequest()
    for field in fields:
        found.field_violations.add(field=_cut(field.field), description=_cut(field.reason))
        if found.ByteSize() > _MOST_OF_FIELDS:
            del found.field_violations[-1]
            break
    return found


def _cut(text: str) -> str:
    """At most so many bytes of it."""
    return text.encode()[:_LONGEST].decode(errors="ignore")
