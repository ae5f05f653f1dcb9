"""How much a request may bring where nobody says otherwise, the same in every service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Limits:
    """What of a request is taken."""

    max_documents: int = 500
    """In one request."""
    max_depth: int = 32
    """Of arrays and objects in each other; the document itself is the first."""
    max_body_bytes: int = 1024 * 1024
    """Of one request's body."""


LIMITS: Final = Limits()
