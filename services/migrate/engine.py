"""What the runner needs of a database server, whichever program it is."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.runtime.settings import DatabaseSettings


class MigrationError(Exception):
    """The schema is not at the revision asked for; the message says why and what to do."""


class Session(Protocol):
    """Opens a connection whose holder alone migrates the database, until it is closed.

    Waits at most `wait_seconds` for the server and `lock_seconds` for another run to finish.
    Raises MigrationError when the server did not let it in.
    """

    def __call__(
        self,
        settings: DatabaseSettings,
        database: str,
        *,
        wait_seconds: float,
        lock_seconds: float,
    ) -> AbstractAsyncContextManager[AsyncConnection]: ...


@dataclass(frozen=True)
class Engine:
    """One kind of server."""

    session: Session
    errors: tuple[type[Exception], ...]
    """What its driver raises, beside what SQLAlchemy makes of it."""
    journal: bool = False
    """Whether a revision can be left in the middle: its DDL commits itself (journal.py)."""
