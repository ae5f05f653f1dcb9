"""Who administers a MySQL server: logging in as them, and replacing their password."""

from __future__ import annotations

from pymysql.constants import ER
from pymysql.err import MySQLError

from services.provision.mysql_passwords import Login, accepts, bring
from services.provision.mysql_statements import ask, user_of
from services.provision.spec import MySQLSpec, ProvisionError
from services.shared.mysql.connections import Connection, connect, is_unavailable
from services.shared.runtime.databases import DatabaseUnavailableError, connected_within
from services.shared.runtime.settings import DatabaseSettings, read_secret


async def log_in(spec: MySQLSpec, wait_seconds: float) -> Connection:
    """With the password, or, where the server does not know it yet, with the one before.

    Raises ProvisionError when it does not let us in within `wait_seconds`.
    """
    settings = _settings(spec)

    async def either() -> Connection:
        try:
            return await connect(settings, "provision")
        except MySQLError as error:
            if spec.admin_previous is None or error.args[0] != ER.ACCESS_DENIED_ERROR:
                raise
        before = {"password_file": spec.admin_previous.password_file}
        return await connect(settings.model_copy(update=before), "provision")

    try:
        return await connected_within(wait_seconds, settings, either, is_unavailable)
    except DatabaseUnavailableError as error:
        raise ProvisionError(
            f"{error}; see that it runs and that admin_password_file holds the password it was"
            " started with"
        ) from error


async def bring_password(spec: MySQLSpec, admin: Connection) -> None:
    """As the spec says; left alone if there is none before it: a server starts with its own."""
    if spec.admin_previous is None:
        return
    user = user_of(spec.admin_user)
    login = Login(_settings(spec), user, spec.admin_previous)
    known = await accepts(login, spec.admin_password_file)
    await bring(admin, login)
    local = await ask(
        admin, "SELECT 1 FROM mysql.user WHERE user = %s AND host = 'localhost'", spec.admin_user
    )
    if local and not (known and spec.admin_previous.accepted):
        # Of who comes over the socket: whether the server lets them in cannot be tried from here.
        password = read_secret(spec.admin_password_file)
        await ask(admin, f"ALTER USER {user}@'localhost' IDENTIFIED BY %s", password)


def _settings(spec: MySQLSpec) -> DatabaseSettings:
    return DatabaseSettings(
        host=spec.host,
        port=spec.port,
        name="mysql",
        user=spec.admin_user,
        password_file=spec.admin_password_file,
        ca_file=spec.ca_file,
    )
