"""An account's password, and the one before it: the server itself lets in with both.

Which of them it knows is seen by logging in, not remembered: so whatever a run that was interrupted
has left, the next one brings it to what the spec says, and whoever is let in stays let in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pymysql.constants import ER
from pymysql.err import MySQLError

from services.provision.mysql_statements import ask
from services.provision.spec import LOGIN_SECONDS, PreviousSpec, ProvisionError
from services.shared.mysql.connections import Connection, connect
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import DatabaseSettings, read_secret

log = get_logger(__name__)

_LOCKED: Final = 3118  # ER_ACCOUNT_HAS_BEEN_LOCKED: asked only of who has given the right password
_IDENTIFIED: Final = "IDENTIFIED WITH caching_sha2_password BY %s"


@dataclass(frozen=True)
class Login:
    """Whose password, and which."""

    settings: DatabaseSettings
    """How to log in with it."""
    user: str
    """As statements name it: `'client_db_user'`."""
    previous: PreviousSpec | None


async def bring(admin: Connection, login: Login) -> None:
    """Let in with the password, and with the one before as the spec says.

    Raises ProvisionError when one that was dropped is let in all the same.
    """
    previous = login.previous
    if previous is not None and previous.accepted:
        await _accept_both(admin, login, previous.password_file)
        return
    # In this order it is let in all the time, even if it was the second one so far.
    await _set(admin, login, login.settings.password_file)
    await ask(admin, f"ALTER USER {login.user} DISCARD OLD PASSWORD")
    if previous is not None:
        if await accepts(login, previous.password_file):
            raise ProvisionError(
                f"{login.user} is still let in with the previous password; drop it by hand:"
                f" ALTER USER {login.user} DISCARD OLD PASSWORD"
            )
        log.info("previous_password_refused", account=login.settings.user)


async def _accept_both(admin: Connection, login: Login, previous: Path) -> None:
    new = login.settings.password_file
    knows_new = await accepts(login, new)
    if knows_new and await accepts(login, previous):
        # Said again, the new one would be retained in place of the previous one.
        return
    # Whatever it is let in with now becomes the first, and is retained as the second.
    await _set(admin, login, new if knows_new else previous)
    if knows_new:
        await _set(admin, login, previous, retain=True)
    await _set(admin, login, new, retain=True)
    log.info("both_passwords_accepted", account=login.settings.user)


async def accepts(login: Login, password_file: Path) -> bool:
    """Whether the server lets in with it. Raises what says nothing about it."""
    try:
        own = await connect(
            login.settings.model_copy(update={"password_file": password_file}),
            "provision",
            connect_timeout=LOGIN_SECONDS,
        )
    except MySQLError as error:
        code = error.args[0] if error.args else None
        if code in (ER.ACCESS_DENIED_ERROR, _LOCKED):
            return code == _LOCKED
        raise
    own.close()
    return True


async def _set(admin: Connection, login: Login, password: Path, *, retain: bool = False) -> None:
    more = " RETAIN CURRENT PASSWORD" if retain else ""
    await ask(admin, f"ALTER USER {login.user} {_IDENTIFIED}{more}", read_secret(password))
