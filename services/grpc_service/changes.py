"""What has changed among tasks, and up to where that is known."""

from __future__ import annotations

from services.shared.postgres.database import Database


class Changes:
    """Every method raises DatabaseUnavailableError when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
