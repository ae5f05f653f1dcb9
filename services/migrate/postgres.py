"""PostgreSQL: asyncpg, and an advisory lock that belongs to the session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from services.migrate.engine import Engine, MigrationError
from services.shared.postgres.database import (
    DatabaseUnavailableError,
    connect,
    connect_within,
)
from services.shared.runtime.settings import DatabaseSettings

# Any number will do as long as every runner uses the same one; "MILL" in ASCII.
_LOCK: Final = 0x4D494C4C


@asynccontextmanager
async def session(
    settings: DatabaseSettings, database: str, *, wait_seconds: float, lock_seconds: float
) -> AsyncIterator[AsyncConnection]:
    """See `Session`."""
    try:
        first = await connect_within(wait_seconds, settings, f"migrate-{database}")
    except DatabaseUnavailableError as error:
        raise MigrationError(
            f"{error}; see that the server runs and that its role and database were provisioned"
        ) from error
    pending = [first]

    async def creator() -> asyncpg.Connection:
        return pending.pop() if pending else await connect(settings, f"migrate-{database}")

    # NullPool: the advisory lock belongs to the session, so it must end with this one.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.execute(
                text("SELECT set_config('lock_timeout', :t, false)"),
                {"t": f"{int(lock_seconds * 1000)}"},
            )
            # The role's limits are for services (provision/postgres.py); a revision may take long.
            await connection.execute(text("SET statement_timeout = 0"))
            if first.get_server_version() >= (17,):
                await connection.execute(text("SET transaction_timeout = 0"))
            await connection.execute(text("SELECT pg_advisory_lock(:k)"), {"k": _LOCK})
            # A revision that needs a table lock gives up rather than stop every writer behind it.
            await connection.execute(text("SET lock_timeout = '15s'"))
            await connection.commit()
            yield connection
    finally:
        for connection in pending:
            await connection.close()
        await engine.dispose()


ENGINE: Final = Engine(session, errors=(asyncpg.PostgresError,))
