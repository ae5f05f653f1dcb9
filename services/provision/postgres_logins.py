"""Who logs in to a PostgreSQL server: of every account two roles, in turns.

A role has one password, so a password is replaced by letting the other role in. Of a service's
account the second is a member of the first and becomes it when it logs in: whichever it is, what
it makes belongs to the first. The one that is not in use has no password and may not log in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from services.provision.scram import verifier
from services.provision.spec import LOGIN_SECONDS, PreviousSpec, ProvisionError, second
from services.shared.postgres.database import connect
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import DatabaseSettings, read_secret

log = get_logger(__name__)

Prepare = Callable[[asyncpg.Connection, str], Awaitable[None]]


@dataclass(frozen=True)
class Turns:
    """One account: which of its roles logs in, and what becomes of the other."""

    role: str
    settings: DatabaseSettings
    """How the one in use logs in."""
    previous: PreviousSpec | None
    attributes: str
    """Of both, as ALTER ROLE takes them."""
    prepare: Prepare
    """What else each of them is given, before it may log in."""

    @property
    def other(self) -> str:
        return second(self.role) if self.settings.user == self.role else self.role


async def bring(admin: asyncpg.Connection, turns: Turns) -> None:
    """Let in who should be, and nobody else. Raises ProvisionError when the other is all the same.

    Whoever is let in before and after is so all the time.
    """
    previous = turns.previous
    await _let_in(admin, turns, turns.settings.user, turns.settings.password_file)
    if previous is not None and previous.accepted:
        await _let_in(admin, turns, turns.other, previous.password_file)
        return
    await shut_out(admin, turns.other)
    if previous is not None:
        await _prove(turns, previous.password_file)


async def shut_out(admin: asyncpg.Connection, role: str) -> int:
    """No login, no password, no session any more; how many there were."""
    if not await exists(admin, role):
        return 0
    # First the door, then the room: a session that ended could come back otherwise.
    await admin.execute(f"ALTER ROLE {quote(role)} WITH NOLOGIN PASSWORD NULL")
    return await admin.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1", role
    )


async def _let_in(admin: asyncpg.Connection, turns: Turns, role: str, password_file: Path) -> None:
    if not await exists(admin, role):
        await admin.execute(f"CREATE ROLE {quote(role)}")
        log.info("role_created", role=role)
    await turns.prepare(admin, role)
    password = password_literal(password_file)
    await admin.execute(
        f"ALTER ROLE {quote(role)} WITH LOGIN {turns.attributes} PASSWORD {password}"
    )


async def _prove(turns: Turns, password_file: Path) -> None:
    """That nobody is let in with it, as either of the two."""
    for role in (turns.role, second(turns.role)):
        change = {"user": role, "password_file": password_file}
        if await accepts(turns.settings.model_copy(update=change)):
            raise ProvisionError(
                f"{role} is still let in with the previous password; lock it out by hand: ALTER"
                f" ROLE {role} NOLOGIN PASSWORD NULL"
            )
    log.info("previous_password_refused", role=turns.role)


async def accepts(settings: DatabaseSettings) -> bool:
    """Whether the server lets them in. Raises what says nothing about it."""
    try:
        own = await connect(settings, "provision", connect_timeout=LOGIN_SECONDS)
    except asyncpg.InvalidAuthorizationSpecificationError:  # a wrong password included
        return False
    await own.close()
    return True


async def exists(admin: asyncpg.Connection, role: str) -> bool:
    found = await admin.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
    return found is True


def password_literal(password_file: Path) -> str:
    """For ALTER ROLE, which takes no parameters. Nothing in it needs quoting."""
    return f"'{verifier(read_secret(password_file))}'"


def quote(identifier: str) -> str:
    """A quoted SQL identifier; the spec has already refused anything unusual."""
    return '"' + identifier.replace('"', '""') + '"'
