"""The body of a request, read before the application sees the request, within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.types import Message, Receive, Scope

from services.shared.http.joining import JOINED, JoinedWrites
from services.shared.http.problem import ProblemError
from services.shared.runtime.late import Late

Fields = Mapping[bytes, bytes]
"""Header fields by their names in lower case; of several with one name the first."""


class DisconnectedError(Exception):
    """The client left before its request was complete."""


def has_body(method: str, fields: Fields) -> bool:
    """Whether one may come: what is asked for with GET rarely has one, and then says so."""
    return method != "GET" or b"content-length" in fields or b"transfer-encoding" in fields


def at_hand(scope: Scope, most: int) -> bytes | None:
    """The body, at most `most` bytes, if all of it has come already. Raises ProblemError."""
    joined: JoinedWrites | None = scope.get(JOINED)
    body = joined.body() if joined is not None else None
    if body is not None and len(body) > most:
        raise _too_large(most)
    return body


async def read_in_time(fields: Fields, receive: Receive, most: int, seconds: float) -> bytes:
    """At most `most` bytes, in at most `seconds`. Raises ProblemError or DisconnectedError."""
    # Bodies are small and there already: asyncio.timeout() would cost more than reading them.
    late = Late(asyncio.current_task())
    timer = asyncio.get_running_loop().call_later(seconds, late)
    try:
        return await _read(fields, receive, most)
    except asyncio.CancelledError:
        if not late.cancelled():
            raise
        raise ProblemError(
            408,
            "body-too-slow",
            f"the body did not arrive within {seconds:g} s; send it again",
            headers={"Connection": "close"},
        ) from None
    finally:
        timer.cancel()


async def _read(fields: Fields, receive: Receive, most: int) -> bytes:
    # A client that is cut off while it sends never reads the answer, so what is moderately
    # too large is read to its end and thrown away.
    patience = 32 * most
    declared = fields.get(b"content-length", b"0")
    if declared.isdigit() and int(declared[:20]) > patience:
        raise _too_large(most)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > patience:
            raise _too_large(most)
        if size <= most:
            chunks.append(chunk)
        if not message.get("more_body", False):
            break
    if size > most:
        raise _too_large(most)
    return b"".join(chunks)


def _too_large(most: int) -> ProblemError:
    return ProblemError(
        413,
        "body-too-large",
        f"the body is larger than {most} bytes; send less",
        headers={"Connection": "close"},
    )


def replay(body: bytes, receive: Receive) -> Receive:
    """`receive` for an application that reads the body once more."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()  # waits for the disconnect
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
