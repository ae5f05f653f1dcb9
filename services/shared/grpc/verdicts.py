"""What becomes of a call that goes wrong."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc
import grpc.aio

from services.shared.grpc import errors
from services.shared.grpc.calls import CORRELATION_ID, Call
from services.shared.grpc.errors import Explain, StatusError
from services.shared.http.problem import ProblemError
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

_CODES: Final = grpc.StatusCode
_TOLERANCE_SECONDS: Final = 0.02
"""gRPC ends a call at its deadline by a clock of its own."""


def judged(
    error: BaseException, call: Call, explain: Explain, needs: str | None, path: str
) -> tuple[StatusError | None, grpc.StatusCode]:
    """The status to end with, None where nobody is left to be told; and the one to count."""
    known: StatusError | None = None
    if isinstance(error, StatusError):
        known = error
    elif isinstance(error, ProblemError):
        known = errors.of_problem(error)
        if known.code is _CODES.PERMISSION_DENIED and needs is not None:
            known.about = {"scope": needs}
    elif isinstance(error, Exception) and not isinstance(error, grpc.aio.BaseError):
        known = explain(error)
        if known is None:
            log.exception("call_failed", method=path)
            known = errors.internal()
    if known is not None:
        return known, known.code
    # Cancelled, or gRPC's library says that there is nobody any more to send to.
    over = asyncio.get_running_loop().time() >= call.deadline - _TOLERANCE_SECONDS
    return None, _CODES.DEADLINE_EXCEEDED if over else _CODES.CANCELLED


async def end(rpc: Any, error: StatusError, call: Call) -> Any:
    """End a call with a status; raises what gRPC's library knows it by."""
    trailing = errors.trailing(error, call.correlation_id)
    return await rpc.abort(
        error.code, error.message, ((CORRELATION_ID, call.correlation_id), *trailing)
    )


def not_begun() -> StatusError:
    return StatusError(
        _CODES.DEADLINE_EXCEEDED,
        "NOT_BEGUN",
        "the deadline was over before the call could begin; give it more time",
    )


def too_late(seconds: float, *, has_deadline: bool) -> StatusError:
    """`seconds`: what such a call gets, with or without a deadline of its client's."""
    way_out = "it may have gone on; ask what became of it" if has_deadline else "set a deadline"
    return StatusError(
        _CODES.DEADLINE_EXCEEDED,
        "TOO_LATE",
        f"not done within {seconds:g} s, which is what such a call is given; {way_out}",
    )


def long_enough() -> StatusError:
    return StatusError(
        _CODES.UNAVAILABLE,
        "SERVED_LONG_ENOUGH",
        "a stream ends from time to time, so that clients spread over servers; resume it",
        retry_after=0,
    )


def stopping() -> StatusError:
    return StatusError(
        _CODES.UNAVAILABLE,
        "STOPPING",
        "this server is about to stop; resume the stream, and another goes on",
        retry_after=0,
    )


def no_such_method() -> StatusError:
    return StatusError(
        _CODES.UNIMPLEMENTED,
        "NO_SUCH_METHOD",
        "there is no such method here; reflection tells of those that there are",
    )
