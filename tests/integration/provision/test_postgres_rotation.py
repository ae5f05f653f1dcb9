"""Replacing passwords of a PostgreSQL server's roles while those who use them go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from services.provision import postgres_logins
from services.provision.postgres import provision
from services.provision.postgres_logins import accepts
from services.provision.spec import (
    BackupAccountSpec,
    DatabaseSpec,
    PostgresSpec,
    PreviousSpec,
    ProvisionError,
)
from services.shared.postgres import database as databases
from services.shared.postgres import turnover
from services.shared.postgres.database import Database, connect
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.servers import Authority, PostgresServer, eventually

ROLE, SECOND = "turns", "turns_b"


class CrashError(Exception):
    """As if the process had been killed there."""


class Line:
    """One account, and its Secret's files as a rotation changes them."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server = server
        self.first, self.later = folder / "first", folder / "later"
        self.first.write_text("passwordofthefirst")
        self.later.write_text("passwordofthesecond")
        self.user_file, self.password_file = folder / "username", folder / "password"
        self.mount(ROLE, self.first)

    def mount(self, user: str, password: Path) -> None:
        """What clients find."""
        self.password_file.write_text(password.read_text())
        self.user_file.write_text(user)

    def spec(self, login: str = SECOND, accepted: bool | None = None) -> PostgresSpec:
        mine, other = (self.first, self.later) if login == ROLE else (self.later, self.first)
        previous = None
        if accepted is not None:
            previous = PreviousSpec(password_file=other, accepted=accepted)
        return self.server.spec(
            DatabaseSpec(name=ROLE, role=ROLE, login=login, password_file=mine, previous=previous)
        )

    async def lets_in(self) -> tuple[bool, bool]:
        """The role itself, its second."""
        return (
            await accepts(self.server.settings(ROLE, ROLE, self.first)),
            await accepts(self.server.settings(ROLE, SECOND, self.later)),
        )

    def client(self) -> DatabaseSettings:
        settings = self.server.settings(ROLE, ROLE, self.password_file)
        return settings.model_copy(update={"user_file": self.user_file})

    async def sessions(self, user: str) -> int:
        (row,) = await self.server.as_admin(
            f"SELECT count(*) AS n FROM pg_stat_activity WHERE usename = '{user}'"
        )
        return row["n"]


@pytest.fixture
async def line(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[Line]:
    made = Line(postgres, tmp_path)
    await provision(made.spec(login=ROLE))
    yield made
    await postgres.as_admin(f"DROP DATABASE {ROLE} WITH (FORCE)")
    for role in (SECOND, ROLE):
        await postgres.as_admin(f"DROP ROLE IF EXISTS {role}")


async def test_the_two_roles_take_turns_and_one_is_let_in_at_the_end(line: Line) -> None:
    for login, wanted in ((SECOND, (False, True)), (ROLE, (True, False))):
        await provision(line.spec(login, accepted=True))
        assert await line.lets_in() == (True, True)
        await provision(line.spec(login, accepted=False))
        assert await line.lets_in() == wanted
        await provision(line.spec(login))
        assert await line.lets_in() == wanted


async def test_a_role_that_never_turned_has_no_second(line: Line) -> None:
    await provision(line.spec(login=ROLE))
    found = await line.server.as_admin(f"SELECT 1 FROM pg_roles WHERE rolname = '{SECOND}'")
    assert not found


async def test_whoever_logs_in_is_the_same_to_the_database(line: Line) -> None:
    own = await connect(
        line.server.settings(ROLE, ROLE, line.first), "test", connect_timeout=PATIENCE
    )
    await own.execute("CREATE TABLE before (id int)")
    await own.close()
    await provision(line.spec(accepted=True))
    other = await connect(
        line.server.settings(ROLE, SECOND, line.later), "test", connect_timeout=PATIENCE
    )
    try:
        await other.execute("CREATE TABLE after (id int)")
        await other.execute("DROP TABLE before")
        who = await other.fetchrow("SELECT session_user, current_user")
        limit = await other.fetchval("SHOW statement_timeout")
        owner = await other.fetchval("SELECT tableowner FROM pg_tables WHERE tablename = 'after'")
    finally:
        await other.close()
    assert who is not None
    assert (who["session_user"], who["current_user"]) == (SECOND, ROLE)
    assert (owner, limit) == (ROLE, "30s")


async def test_a_new_platform_may_begin_with_any_generation(
    postgres: PostgresServer, authority: Authority
) -> None:
    old = PreviousSpec(password_file=authority.secret("old"), accepted=True)
    made = DatabaseSpec(
        name="late",
        role="late",
        login="late_b",
        password_file=authority.secret("late"),
        previous=old,
    )
    await provision(postgres.spec(made))
    assert await accepts(postgres.settings("late", "late_b", made.password_file))
    assert await accepts(postgres.settings("late", "late", old.password_file))


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("login", [ROLE, SECOND])
async def test_a_run_that_dies_after_any_statement_is_finished_by_the_next(
    line: Line, login: str, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for survived in range(60):
        await provision(line.spec(login=SECOND if login == ROLE else ROLE))
        if not accepted:
            await provision(line.spec(login=login, accepted=True))
        before = await line.lets_in()
        crashed = await dies_after(survived, line.spec(login, accepted), monkeypatch)
        after = await line.lets_in()
        mine, other = (0, 1) if login == ROLE else (1, 0)
        assert after[mine] >= before[mine]
        assert after[other] >= (before[other] and accepted)
        await provision(line.spec(login, accepted))
        ended = await line.lets_in()
        assert (ended[mine], ended[other]) == (True, accepted)
        if not crashed:
            assert survived > 0
            return
    raise AssertionError("it never came to its end")


async def dies_after(survived: int, spec: PostgresSpec, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether it was killed after so many statements that change a role."""
    left, execute = survived, asyncpg.Connection.execute

    async def counting(self: Any, query: str, *args: Any, **more: Any) -> Any:
        nonlocal left
        if "ROLE" in query or query.startswith("GRANT"):
            if left == 0:
                raise CrashError
            left -= 1
        return await execute(self, query, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "execute", counting)
        try:
            await provision(spec)
        except CrashError:
            return True
    return False


async def test_a_role_that_is_let_in_all_the_same_fails_the_run(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forgetful(_admin: Any, _role: str) -> int:
        return 0

    await provision(line.spec(accepted=True))
    monkeypatch.setattr(postgres_logins, "shut_out", forgetful)
    with pytest.raises(ProvisionError, match="turns is still let in with the previous password"):
        await provision(line.spec(accepted=False))


async def test_a_role_that_left_the_spec_is_locked_out_with_its_second(
    line: Line, authority: Authority
) -> None:
    await provision(line.spec(accepted=True))
    other = DatabaseSpec(name="stays", role="stays", password_file=authority.secret("stays"))
    await provision(line.server.spec(other))
    assert await line.lets_in() == (False, False)


async def test_the_account_of_backups_takes_turns_too_and_may_replicate(
    line: Line, authority: Authority
) -> None:
    old, new = authority.secret("backup-1"), authority.secret("backup-2")

    def spec(accepted: bool) -> PostgresSpec:
        previous = PreviousSpec(password_file=old, accepted=accepted)
        account = BackupAccountSpec(
            user="backup_user", login="backup_user_b", password_file=new, previous=previous
        )
        return line.spec(ROLE).model_copy(update={"backup": account})

    await provision(spec(accepted=True))
    assert await accepts(line.server.settings(ROLE, "backup_user", old))
    await provision(spec(accepted=False))
    assert not await accepts(line.server.settings(ROLE, "backup_user", old))
    assert await accepts(line.server.settings(ROLE, "backup_user_b", new))
    (row,) = await line.server.as_admin(
        "SELECT rolreplication FROM pg_roles WHERE rolname = 'backup_user_b'"
    )
    assert row["rolreplication"]
    await line.server.as_admin("DROP OWNED BY backup_user, backup_user_b")


async def test_the_administrators_password_is_replaced_by_logging_in_with_the_one_before(
    line: Line, tmp_path: Path
) -> None:
    first, new = line.spec(ROLE), tmp_path / "admin"
    new.write_text("adminsnewone2")
    old = PreviousSpec(password_file=first.admin_password_file, accepted=True)
    turned = first.model_copy(update={"admin_password_file": new, "admin_previous": old})
    try:
        for _ in range(2):
            await provision(turned)
            assert await accepts(line.server.settings("postgres", "postgres", new))
            assert not await accepts(line.server.admin)
    finally:
        back = PreviousSpec(password_file=new, accepted=False)
        await provision(first.model_copy(update={"admin_previous": back}))
    assert await accepts(line.server.admin)


@pytest.mark.parametrize(("workers", "pool"), [(3, 10), (6, 3)], ids=["idle", "none idle"])
async def test_a_client_that_works_all_the_while_sees_nothing_of_it(
    line: Line, workers: int, pool: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnover, "LOOK_SECONDS", 0.2)
    client = line.client().model_copy(update={"pool_size": pool})
    database = patient(client)
    await database.open()
    stop, done = asyncio.Event(), 0

    async def work() -> None:
        nonlocal done
        while not stop.is_set():
            row = await database.fetchrow("SELECT current_user, pg_sleep(0.002)")
            assert row is not None
            assert row["current_user"] == ROLE
            done += 1

    async def rush() -> None:
        await asyncio.gather(*(database.fetchrow("SELECT pg_sleep(0.05)") for _ in range(10)))

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
        for login, password, before in (
            (SECOND, line.later, ROLE),
            (ROLE, line.first, SECOND),
        ):
            await rush()  # leaves connections that nobody uses after it
            # One that was told to may be logging in anew still.
            await eventually(lambda of=before: _at_least(line, of, min(4, pool)))
            await provision(line.spec(login, accepted=True))
            line.mount(login, password)
            await eventually(lambda of=before: _none(line, of))
            seen = done
            await provision(line.spec(login, accepted=False))
            await eventually(lambda since=seen: _more(lambda: done, since))
        stop.set()
    await database.close()
    assert await line.lets_in() == (True, False)


async def test_idle_connections_log_in_anew_one_after_the_other(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once, whoever wants one meanwhile would wait for as many logins."""
    monkeypatch.setattr(turnover, "LOOK_SECONDS", 0.2)
    now, most, connect = 0, 0, databases.connect

    async def counted(*args: Any, **more: Any) -> Any:
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            return await connect(*args, **more)
        finally:
            now -= 1

    database = patient(line.client())
    await database.open()
    await asyncio.gather(*(database.fetchrow("SELECT pg_sleep(0.3)") for _ in range(8)))
    # The pool's own: the session that provisioned the role may be ending still.
    await eventually(lambda: _many(line, ROLE, 8))
    monkeypatch.setattr(databases, "connect", counted)
    await provision(line.spec(SECOND, accepted=True))
    line.mount(SECOND, line.later)
    await eventually(lambda: _none(line, ROLE))
    await eventually(lambda: _many(line, SECOND, 8))
    assert most == 1
    await database.close()


def patient(client: DatabaseSettings) -> Database:
    """That a busy machine takes long to log in or to answer is nothing that a client sees of it."""
    return Database(
        client,
        CollectorRegistry(),
        application_name="client",
        connect_timeout=PATIENCE,
        acquire_timeout=30.0,
        command_timeout=30.0,
    )


async def _at_least(line: Line, user: str, sessions: int) -> bool:
    return await line.sessions(user) >= sessions


async def _none(line: Line, user: str) -> bool:
    return await _many(line, user, 0)


async def _many(line: Line, user: str, sessions: int) -> bool:
    return await line.sessions(user) == sessions


async def _more(count: Any, since: int) -> bool:
    return count() > since + 20
