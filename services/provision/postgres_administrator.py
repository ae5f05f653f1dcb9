"""Who administers a PostgreSQL server: logging in as them, and replacing their password.

Jobs alone do so, one after the other: there is no time in which both passwords have to be let in.
"""

from __future__ import annotations

from pathlib import Path

import asyncpg

from services.provision.postgres_logins import accepts, password_literal, quote
from services.provision.spec import PostgresSpec, ProvisionError
from services.shared.postgres.database import connect, is_unavailable
from services.shared.runtime.databases import DatabaseUnavailableError, connected_within
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import DatabaseSettings

log = get_logger(__name__)


async def log_in(spec: PostgresSpec, wait_seconds: float) -> asyncpg.Connection:
    """With the password, or, where the server does not know it yet, with the one before.

    Raises ProvisionError when it does not let us in within `wait_seconds`.
    """
    settings = _settings(spec, spec.admin_password_file)

    async def either() -> asyncpg.Connection:
        try:
            return await connect(settings, "provision")
        except asyncpg.InvalidPasswordError:
            if spec.admin_previous is None:
                raise
        return await connect(_settings(spec, spec.admin_previous.password_file), "provision")

    try:
        return await connected_within(wait_seconds, settings, either, is_unavailable)
    except DatabaseUnavailableError as error:
        raise ProvisionError(
            f"{error}; see that it runs and that admin_password_file holds the password it was"
            " initialised with"
        ) from error


async def bring_password(spec: PostgresSpec, admin: asyncpg.Connection) -> None:
    """The one of the spec, and not the one before, if there was one."""
    if spec.admin_previous is None:
        return
    password = password_literal(spec.admin_password_file)
    await admin.execute(f"ALTER ROLE {quote(spec.admin_user)} PASSWORD {password}")
    if await accepts(_settings(spec, spec.admin_previous.password_file)):
        raise ProvisionError(
            f"{spec.admin_user} is still let in with the previous password; see that the two files"
            " differ"
        )
    log.info("previous_password_refused", role=spec.admin_user)


def _settings(spec: PostgresSpec, password_file: Path) -> DatabaseSettings:
    return DatabaseSettings(
        host=spec.host,
        port=spec.port,
        name="postgres",
        user=spec.admin_user,
        password_file=password_file,
        ca_file=spec.ca_file,
    )
