"""Accounts and databases of a MySQL server, idempotently.

Each database has two accounts that can do nothing elsewhere: the services' own, which reads and
writes rows and changes no table, and its owner's, which only migrations use. Passwords are set on
every run, so that a rotated secret needs only another run; rights are brought to exactly those of
the spec. An account that was made here and left the spec may no longer log in; its database and
all that is in it stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pymysql.converters import escape_string
from pymysql.err import MySQLError

from services.provision import mysql_administrator, mysql_heartbeat
from services.provision.mysql_passwords import Login, bring
from services.provision.mysql_statements import ask, on, quote, user_of
from services.provision.spec import (
    LOGIN_SECONDS,
    AccountSpec,
    MySQLSpec,
    PreviousSpec,
    ProvisionError,
)
from services.shared.mysql import lockout
from services.shared.mysql.connections import Connection, connect
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import DatabaseSettings

log = get_logger(__name__)

MARKER: Final = "millrace"
"""Attribute of every account made here: no other may ever be locked out."""
_LOCK_SECONDS: Final = 60

SERVICE: Final = ("SELECT", "INSERT", "UPDATE")
OWNER: Final = (
    *("SELECT", "INSERT", "UPDATE", "DELETE"),
    *("CREATE", "ALTER", "DROP", "INDEX", "REFERENCES"),
)
"""What Alembic's revisions take, on their own database."""
BACKUP: Final = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
_LOG: Final = ("REPLICATION CLIENT", "REPLICATION SLAVE")  # the archive of changes
EXPORTER_GLOBAL: Final = ("REPLICATION CLIENT",)
"""How far a copy is; what a server counts, everybody may ask."""
EXPORTER_SESSIONS: Final = 3
BACKUP_GLOBAL: Final = (*_LOG, "BACKUP_ADMIN", "RELOAD", "SHOW_ROUTINE")

Rights = Mapping[str, tuple[str, ...]]
"""Privileges by what they are on: `*.*`, or a database."""


@dataclass(frozen=True)
class _Account:
    name: str
    password_file: Path
    previous: PreviousSpec | None
    rights: Rights
    sessions: int = 0  # at most at once; 0: as many as the server takes


async def provision(spec: MySQLSpec, *, wait_seconds: float = 120) -> None:
    """Make every account and database of the spec, or bring them to it; lock out who left it.

    Raises ProvisionError when the server cannot be reached in time or refuses a statement.
    """
    admin = await mysql_administrator.log_in(spec, wait_seconds)
    accounts = list(_accounts(spec))
    try:
        # A backup holds changes of accounts up while it begins, and by itself the server would let
        # this wait for a year.
        await ask(admin, "SET SESSION lock_wait_timeout = %s", _LOCK_SECONDS)
        # Two runs at once would race between "does it exist" and "create". The session's end
        # frees it.
        got = await ask(admin, "SELECT GET_LOCK(%s, %s) AS got", lockout.LOCK, _LOCK_SECONDS)
        if got[0]["got"] != 1:
            raise ProvisionError(
                f"mysql {spec.host}:{spec.port}: another run has not finished within"
                f" {_LOCK_SECONDS} s; run this one again when it has"
            )
        await mysql_administrator.bring_password(spec, admin)
        for database in spec.databases:
            await ask(admin, f"CREATE DATABASE IF NOT EXISTS {quote(database.name)}")
        if spec.monitor is not None:
            await ask(admin, f"CREATE DATABASE IF NOT EXISTS {mysql_heartbeat.SCHEMA}")
            await ask(admin, mysql_heartbeat.VIEW)
        for account in accounts:
            await _account(spec, admin, account)
        for database, own in ((one, a) for one in spec.databases for a in (one.user, one.owner)):
            if await lockout.held(admin, own.name):
                log.warning("account_left_locked", account=own.name, reason="a restore is at work")
            else:
                await _prove(spec, database.name, own)
        await _lock_out(admin, keep={account.name for account in accounts})
    except (MySQLError, OSError) as error:
        raise ProvisionError(
            f"mysql {spec.host}:{spec.port}: {error}; correct it and run the Job again"
        ) from error
    finally:
        admin.close()


def _accounts(spec: MySQLSpec) -> Iterator[_Account]:
    for database in spec.databases:
        for account, rights in ((database.user, SERVICE), (database.owner, OWNER)):
            yield _Account(
                account.name, account.password_file, account.previous, {database.name: rights}
            )
    if spec.backup is not None:
        of_databases = {database.name: BACKUP for database in spec.databases}
        yield _Account(
            spec.backup.name,
            spec.backup.password_file,
            spec.backup.previous,
            {"*": BACKUP_GLOBAL, **of_databases},
        )
    if spec.monitor is not None:
        own = spec.monitor
        rights = {mysql_heartbeat.SCHEMA: ("SELECT",)}
        yield _Account(own.name, own.password_file, own.previous, rights)
    if spec.exporter is not None:
        own, rights = spec.exporter, {"*": EXPORTER_GLOBAL}
        yield _Account(own.name, own.password_file, own.previous, rights, EXPORTER_SESSIONS)


async def _account(spec: MySQLSpec, admin: Connection, account: _Account) -> None:
    user = user_of(account.name)
    await ask(admin, f"CREATE USER IF NOT EXISTS {user} REQUIRE SSL ACCOUNT LOCK")
    await _grant(admin, account)
    attribute = escape_string(json.dumps({MARKER: "service"}))
    # Any database will do that everybody may look into.
    settings = _settings(spec, "information_schema", account.name, account.password_file)
    await bring(admin, Login(settings, user, account.previous))
    # Last: who cannot yet log in has nobody's rights but its own.
    door = "" if await lockout.held(admin, account.name) else " ACCOUNT UNLOCK"
    most = f" WITH MAX_USER_CONNECTIONS {account.sessions}"
    await ask(admin, f"ALTER USER {user} REQUIRE SSL{most}{door} ATTRIBUTE '{attribute}'")


async def _grant(admin: Connection, account: _Account) -> None:
    """Give what is missing, then take what is too much: nothing wanted is away for a moment."""
    user = user_of(account.name)
    for database, rights in account.rights.items():
        await ask(admin, f"GRANT {', '.join(rights)} ON {on(database)} TO {user}")
    grantee = f"'{account.name}'@'%'"
    found = await ask(
        admin,
        "SELECT '*' AS place, privilege_type AS right_ FROM information_schema.user_privileges"
        " WHERE grantee = %s UNION ALL SELECT REPLACE(table_schema, '\\\\', ''), privilege_type"
        " FROM information_schema.schema_privileges WHERE grantee = %s",
        grantee,
        grantee,
    )
    for row in found:
        place, right = row["place"], row["right_"]
        if right != "USAGE" and right not in account.rights.get(place, ()):
            await ask(admin, f"REVOKE {right} ON {on(place)} FROM {user}")
            log.warning("right_taken", account=account.name, right=right, on=place)
    tables = await ask(
        admin,
        "SELECT DISTINCT table_schema AS place, table_name AS name"
        " FROM information_schema.table_privileges WHERE grantee = %s"
        " UNION SELECT DISTINCT table_schema, table_name"
        " FROM information_schema.column_privileges WHERE grantee = %s",
        grantee,
        grantee,
    )
    for row in tables:
        table = f"{quote(row['place'])}.{quote(row['name'])}"
        await ask(admin, f"REVOKE ALL ON {table} FROM {user}")
        log.warning("right_taken", account=account.name, right="ALL", on=table)
    roles = await ask(
        admin,
        "SELECT from_user AS name, from_host AS host FROM mysql.role_edges WHERE to_user = %s",
        account.name,
    )
    for row in roles:
        await ask(admin, f"REVOKE '{row['name']}'@'{row['host']}' FROM {user}")


async def _lock_out(admin: Connection, keep: set[str]) -> None:
    """End the logins and sessions of accounts that were made here and are no longer wanted.

    Databases stay: dropping one is a decision that a program must not take from the absence of a
    line.
    """
    made = await ask(
        admin,
        "SELECT u.user AS name, u.account_locked AS locked FROM mysql.user u"
        " JOIN information_schema.user_attributes a ON a.user = u.user AND a.host = u.host"
        " WHERE u.host = '%%' AND a.attribute->>%s = 'service'",
        f"$.{MARKER}",
    )
    for row in made:
        name = row["name"]
        if name in keep:
            continue
        # First the door, then the room: a session that ended could come back otherwise.
        if row["locked"] == "N":
            await ask(admin, f"ALTER USER {user_of(name)} ACCOUNT LOCK")
        ended = await _end_sessions(admin, name)
        if row["locked"] == "N" or ended:
            log.warning(
                "account_locked_out",
                account=name,
                sessions_ended=ended,
                reason="no service has it any more; drop its database and the account by hand"
                " when nobody needs the data",
            )


async def _end_sessions(admin: Connection, name: str) -> int:
    sessions = await ask(
        admin,
        "SELECT processlist_id AS id FROM performance_schema.threads WHERE processlist_user = %s",
        name,
    )
    ended = 0
    for row in sessions:
        try:
            await ask(admin, f"KILL {int(row['id'])}")
            ended += 1
        except MySQLError:
            log.info("session_gone", account=name)
    return ended


async def _prove(spec: MySQLSpec, database: str, account: AccountSpec) -> None:
    """That it can log in."""
    settings = _settings(spec, database, account.name, account.password_file)
    own = await connect(settings, "provision", connect_timeout=LOGIN_SECONDS)
    own.close()
    log.info("account_ready", database=database, account=account.name)


def _settings(spec: MySQLSpec, name: str, user: str, password_file: Path) -> DatabaseSettings:
    return DatabaseSettings(
        host=spec.host,
        port=spec.port,
        name=name,
        user=user,
        password_file=password_file,
        ca_file=spec.ca_file,
    )
