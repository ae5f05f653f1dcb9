"""Connections to the live server, with errors turned into sentences."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pydantic import ValidationError

from services.backup.engine import BackupError
from services.backup.postgres import tables
from services.backup.spec import Account, BackupSpec
from services.shared.postgres.database import connect
from services.shared.runtime.settings import DatabaseSettings


@asynccontextmanager
async def session(
    spec: BackupSpec, account: Account, database: str = "postgres"
) -> AsyncIterator[asyncpg.Connection]:
    """One connection. Raises BackupError when the server does not let us in, or fails us."""
    server = spec.server
    try:
        connection = await connect(
            DatabaseSettings(
                host=server.host,
                port=server.port,
                name=database,
                user=account.user,
                user_file=account.user_file,
                password_file=account.password_file,
                ca_file=server.ca_file,
            ),
            "backup",
            connect_timeout=10,
            server_settings=tables.SETTINGS,
        )
    except ValidationError as error:
        # Of the files it names: they may have been there when the spec was read.
        missing = "; ".join(f"{item['input']}: {item['msg']}" for item in error.errors())
        raise BackupError(f"{missing}; mount it there, the password or the CA") from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise BackupError(
            f"{database} on {server.host}:{server.port} does not let {account.user} in"
            f" ({type(error).__name__}: {error}); see that it runs, and the account's password"
            " and the CA"
        ) from error
    try:
        yield connection
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise BackupError(
            f"{database} on {server.host}:{server.port}: {type(error).__name__}: {error}"
        ) from error
    finally:
        connection.terminate()


async def one(connection: asyncpg.Connection, query: str, *given: object) -> asyncpg.Record:
    """The row of a query that always has one."""
    row = await connection.fetchrow(query, *given)
    assert row is not None, query
    return row


async def alone(connection: asyncpg.Connection, what: str) -> None:
    """Hold a lock of the server's until the session ends. Raises BackupError when another does."""
    if not await connection.fetchval(
        "SELECT pg_try_advisory_lock(hashtext('millrace.backup'), hashtext($1))", what
    ):
        raise BackupError(f"another {what} runs on this server; wait until it has ended")
