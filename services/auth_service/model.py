"""What is known of a client."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.contracts.scopes import SCOPES

ADMINISTRATOR: Final = "administrator"
"""The client that is no row: its secret is a file, and it may do nothing but administer."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One that is valid now, as far as the server keeps it."""

    hash: str
    """bcrypt's."""
    fingerprint: int
    until: float | None
    """On this process's monotonic clock; None: until it is replaced."""


@dataclass(frozen=True, slots=True)
class Client:
    """One that may get tokens."""

    client_id: str
    scopes: tuple[str, ...]
    secrets: tuple[Secret, ...]


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """When a secret was made and when it ends (None: when it is replaced)."""

    issued_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """A client as administrators see it."""

    client_id: str
    client_name: str
    scope: str
    is_active: bool
    created_at: datetime
    secrets: tuple[SecretRecord, ...] = ()


def in_order(scopes: frozenset[str]) -> str:
    """Scopes as a token and a row hold them: each once, in one order."""
    return " ".join(scope for scope in SCOPES if scope in scopes)
