"""MySQL: aiomysql, and a named lock that belongs to the session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from pymysql.err import MySQLError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from services.migrate.engine import Engine, MigrationError
from services.shared.mysql.connections import Connection, connect, connect_within
from services.shared.runtime.databases import DatabaseUnavailableError
from services.shared.runtime.settings import DatabaseSettings

_LOCK: Final = "millrace.migrate"
_LOGIN_SECONDS: Final = 30
"""For the session's own: a moment before, the server let us in."""


@asynccontextmanager
async def session(
    settings: DatabaseSettings, database: str, *, wait_seconds: float, lock_seconds: float
) -> AsyncIterator[AsyncConnection]:
    """See `Session`."""
    try:
        first = await connect_within(wait_seconds, settings, f"migrate-{database}")
    except DatabaseUnavailableError as error:
        raise MigrationError(
            f"{error}; see that the server runs and that its accounts and database were provisioned"
        ) from error
    first.close()

    async def creator() -> Connection:
        return await connect(
            settings,
            f"migrate-{database}",
            connect_timeout=_LOGIN_SECONDS,
            autocommit=False,
        )

    # NullPool: the lock belongs to the session, so it must end with this one.
    engine = create_async_engine("mysql+aiomysql://", async_creator=creator, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            # Named for all of the server: other databases' migrations are not held up.
            held = await connection.scalar(
                text("SELECT GET_LOCK(:name, :seconds)"),
                {"name": f"{_LOCK}.{settings.name}", "seconds": int(lock_seconds)},
            )
            if held != 1:
                raise MigrationError(
                    f"{database}: another migration has not finished within {lock_seconds:g} s;"
                    " see its Job's log, then run this again"
                )
            # A statement that needs a table for itself gives up rather than stop every writer
            # behind it.
            await connection.execute(text("SET SESSION lock_wait_timeout = 15"))
            await connection.commit()
            yield connection
    finally:
        await engine.dispose()


ENGINE: Final = Engine(session, errors=(MySQLError,), journal=True)
