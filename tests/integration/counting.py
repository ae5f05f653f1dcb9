"""A database that remembers what it was asked."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from services.shared.postgres.database import Database


class CountingDatabase(Database):
    """Remembers every statement that is sent."""

    statements: list[str]

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        async with super().connection() as connection:
            with connection.query_logger(lambda record: self.statements.append(record.query)):
                yield connection
