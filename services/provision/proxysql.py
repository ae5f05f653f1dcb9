"""Waits until every replica of a ProxySQL goes by the routes that the program made.

Nothing is changed: the routes are files that the replicas have mounted, and each reads them again
by itself. When this ends well, every account gets in at every replica by the password it has now.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from pymysql.err import MySQLError

from services.provision.mysql_statements import ask
from services.provision.spec import CredentialSpec, ProvisionError, ProxySQLSpec
from services.shared.mysql.connections import connect
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import DatabaseSettings, SettingsError

log = get_logger(__name__)

MARKER: Final = "SELECT millrace_routes"
"""The proxy answers it itself, with an error that names its routes."""
FOLLOW_SECONDS: Final = 420.0
"""Kubernetes takes up to a minute and a half to change a file in a pod that runs, and a replica two
and a half minutes more before a password counts that took the place of another."""
_LOOK_SECONDS: Final = 1.0


async def provision(
    spec: ProxySQLSpec, *, wait_seconds: float, follow_seconds: float = FOLLOW_SECONDS
) -> None:
    """Raises ProvisionError when a replica does not go by them in time."""
    deadline = time.monotonic() + wait_seconds + follow_seconds
    for host in spec.hosts:
        for user in spec.users:
            await _until(spec, host, user, deadline)
        log.info("routes_followed", host=host, routes=spec.routes)


async def _until(spec: ProxySQLSpec, host: str, user: CredentialSpec, deadline: float) -> None:
    while (found := await _routes(spec, host, user)) != spec.routes:
        if time.monotonic() >= deadline:
            raise ProvisionError(
                f"proxysql at {host}:{spec.port}: {user.name} was told {found!r} and not"
                f" {spec.routes}; see its log, then run this again"
            )
        await asyncio.sleep(_LOOK_SECONDS)


async def _routes(spec: ProxySQLSpec, host: str, user: CredentialSpec) -> str:
    """Those it goes by, or why it does not say."""
    settings = DatabaseSettings(
        host=host,
        port=spec.port,
        name="",
        user=user.name,
        password_file=user.password_file,
        ca_file=spec.ca_file,
    )
    try:
        connection = await connect(settings, "provision")
    except (MySQLError, OSError, SettingsError) as error:
        return str(error)
    try:
        await ask(connection, MARKER)
    except (MySQLError, OSError) as error:
        return str(error.args[-1])
    finally:
        connection.close()
    return ""
