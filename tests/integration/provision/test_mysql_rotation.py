"""Replacing passwords of a MySQL server's accounts while those who use them go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from services.provision import mysql_passwords
from services.provision.mysql import provision
from services.provision.mysql_passwords import Login
from services.provision.mysql_statements import ask
from services.provision.spec import (
    AccountSpec,
    MySQLDatabaseSpec,
    MySQLSpec,
    PreviousSpec,
    ProvisionError,
)
from services.shared.mysql.connections import Connection, connect
from tests.integration.authority import PATIENCE
from tests.integration.servers import MySQLServer

NEW, OLD = "newpassword2", "oldpassword1"


class CrashError(Exception):
    """As if the process had been killed there."""


class Line:
    """One account, and the files of its passwords, as a rotation changes them."""

    def __init__(self, server: MySQLServer, made: MySQLDatabaseSpec, folder: Path) -> None:
        self.server, self.made = server, made
        self.new, self.old = folder / "new", folder / "old"
        self.new.write_text(NEW)
        self.old.write_text(OLD)

    def spec(self, *, first: bool = False, accepted: bool | None = None) -> MySQLSpec:
        """`first`: before the rotation; `accepted`: what of the old one."""
        previous = None
        if accepted is not None:
            previous = PreviousSpec(password_file=self.old, accepted=accepted)
        user = AccountSpec(
            name=self.made.user.name,
            password_file=self.old if first else self.new,
            previous=previous,
        )
        return self.server.spec(self.made.model_copy(update={"user": user}))

    async def lets_in(self) -> tuple[bool, bool]:
        """With the new one, with the old one."""
        settings = self.server.settings(self.made.name, self.made.user.name, self.new)
        login = Login(settings, "", None)
        return (
            await mysql_passwords.accepts(login, self.new),
            await mysql_passwords.accepts(login, self.old),
        )

    async def on_server(self) -> list[dict[str, Any]]:
        """What the server knows of the account's passwords."""
        return await self.server.as_admin(
            "SELECT authentication_string, user_attributes->>'$.additional_password' FROM"
            f" mysql.user WHERE user = '{self.made.user.name}'"
        )


@pytest.fixture
async def line(mysql: MySQLServer, tmp_path: Path) -> Line:
    made = Line(mysql, mysql.database("turn_db"), tmp_path)
    await provision(made.spec(first=True))
    return made


async def test_both_passwords_are_accepted_until_the_old_one_is_dropped(line: Line) -> None:
    assert await line.lets_in() == (False, True)
    await provision(line.spec(accepted=True))
    assert await line.lets_in() == (True, True)
    await provision(line.spec(accepted=False))
    assert await line.lets_in() == (True, False)
    await provision(line.spec())
    assert await line.lets_in() == (True, False)


async def test_runs_again_change_nothing(line: Line) -> None:
    await provision(line.spec(accepted=True))
    known = await line.on_server()
    await provision(line.spec(accepted=True))
    assert await line.on_server() == known
    assert await line.lets_in() == (True, True)
    for _ in range(2):
        await provision(line.spec(accepted=False))
        assert await line.lets_in() == (True, False)


async def test_a_session_of_the_old_password_goes_on_after_that_is_dropped(line: Line) -> None:
    settings = line.server.settings(line.made.name, line.made.user.name, line.old)
    session = await connect(settings, "test", connect_timeout=PATIENCE)
    try:
        await provision(line.spec(accepted=True))
        await provision(line.spec(accepted=False))
        assert await ask(session, "SELECT 1 AS one") == [{"one": 1}]
    finally:
        session.close()


STATES: dict[str, tuple[str, ...]] = {
    "the first password": ("BY %old", "DISCARD"),
    "the new one alone": ("BY %new", "DISCARD"),
    "the new one, the old retained": ("BY %old", "DISCARD", "BY %new RETAIN CURRENT PASSWORD"),
    "the old one, the new retained": ("BY %new", "DISCARD", "BY %old RETAIN CURRENT PASSWORD"),
    "another one": ("BY 'someoneelses3'", "DISCARD"),
    "another one, the old retained": (
        *("BY %old", "DISCARD"),
        "BY 'someoneelses3' RETAIN CURRENT PASSWORD",
    ),
}


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("state", STATES)
async def test_a_run_that_dies_after_any_statement_is_finished_by_the_next(
    line: Line, state: str, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for survived in range(20):
        for change in STATES[state]:
            text = "IDENTIFIED " + change.replace("%old", f"'{OLD}'").replace("%new", f"'{NEW}'")
            text = "DISCARD OLD PASSWORD" if change == "DISCARD" else text
            await line.server.as_admin(f"ALTER USER '{line.made.user.name}' {text}")
        new_before, old_before = await line.lets_in()
        crashed = await dies_after(survived, line.spec(accepted=accepted), monkeypatch)
        new_after, old_after = await line.lets_in()
        # The new one is in clients' hands as soon as a run has ended; until then the old one is.
        assert new_after >= new_before
        assert old_after >= (old_before and accepted)
        await provision(line.spec(accepted=accepted))
        assert await line.lets_in() == (True, accepted)
        if not crashed:
            assert survived > 0
            return
    raise AssertionError("it never came to its end")


async def dies_after(survived: int, spec: MySQLSpec, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether it was killed after so many statements about passwords; False: it made it."""
    left = survived

    async def counting(connection: Connection, statement: str, *args: object) -> Any:
        nonlocal left
        if left == 0:
            raise CrashError
        left -= 1
        return await ask(connection, statement, *args)

    with monkeypatch.context() as patch:
        patch.setattr(mysql_passwords, "ask", counting)
        try:
            await provision(spec)
        except CrashError:
            return True
    return False


async def test_an_old_password_that_is_let_in_all_the_same_fails_the_run(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forgetful(connection: Connection, statement: str, *args: object) -> Any:
        return [] if "DISCARD" in statement else await ask(connection, statement, *args)

    await provision(line.spec(accepted=True))
    monkeypatch.setattr(mysql_passwords, "ask", forgetful)
    with pytest.raises(ProvisionError, match="still let in with the previous password"):
        await provision(line.spec(accepted=False))


async def test_the_administrators_password_is_replaced_by_logging_in_with_the_one_before(
    line: Line, tmp_path: Path
) -> None:
    server = line.server
    first = server.spec(line.made)
    new = tmp_path / "admin"
    new.write_text("adminsnewone2")

    def turned(*, accepted: bool) -> MySQLSpec:
        old = PreviousSpec(password_file=first.admin_password_file, accepted=accepted)
        return first.model_copy(update={"admin_password_file": new, "admin_previous": old})

    def login(password: Path) -> Callable[[], Awaitable[bool]]:
        settings = server.settings("mysql", "root", password)
        return lambda: mysql_passwords.accepts(Login(settings, "", None), password)

    try:
        for _ in range(2):
            await provision(turned(accepted=True))
            assert await login(new)()
            assert await login(first.admin_password_file)()
        for _ in range(2):
            await provision(turned(accepted=False))
            assert await login(new)()
            assert not await login(first.admin_password_file)()
    finally:
        back = PreviousSpec(password_file=new, accepted=False)
        await provision(first.model_copy(update={"admin_previous": back}))
    assert await login(first.admin_password_file)()
