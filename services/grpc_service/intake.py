"""What a caller may ask for, checked before anything is written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from dataclasses import dataclass

from services.contracts.payloads import MAX_ID_LENGTH
from services.grpc_service.work import CALLER_ACTIONS, BadInputError, canonical, parse


class InvalidTaskError(Exception):
    """field: what is wrong. The text says why, and what would be right."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task that can be made. input: the canonical JSON text of an object. request_id: a UUID that
    is the caller's; the same one with the same content is the same task."""

    resource_id: str
    action: str
    input: str
    request_id: str | None = None

    @property
    def digest(self) -> bytes:
        """Of the content; 32 bytes."""
        content = json.dumps([self.resource_id, self.action, self.input])
        return hashlib.sha256(content.encode()).digest()


def new_task(
    resource_id: str, action: str, given: str, request_id: str | None, *, most_bytes: int
) -> NewTask:
    """`given`: JSON text, of `most_bytes` at most. Raises InvalidTaskError."""
    check_resource_id(resource_id)
    if action not in CALLER_ACTIONS:
        raise InvalidTaskError("action", f"must be one of {', '.join(sorted(CALLER_ACTIONS))}")
    if len(given) > most_bytes or len(given.encode("utf-8", "replace")) > most_bytes:
        raise InvalidTaskError("input", f"must be at most {most_bytes} bytes")
    try:
        text = canonical(parse(given))
    except BadInputError as error:
        raise InvalidTaskError("input", str(error)) from error
    return NewTask(resource_id, action, text, _uuid(request_id))


def check_resource_id(text: str) -> None:
    """Whether a resource may go by it. Raises InvalidTaskError."""
    if not text or len(text) > MAX_ID_LENGTH or not text.isprintable():
        raise InvalidTaskError(
            "resource_id", f"must be 1 to {MAX_ID_LENGTH} characters that can be printed"
        )


def _uuid(text: str | None) -> str | None:
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        found = str(uuid.UUID(text))
        if found == text.lower():  # braces, and no hyphens, are no error there
            return found
    raise InvalidTaskError("request_id", "must be a UUID of 36 characters")
