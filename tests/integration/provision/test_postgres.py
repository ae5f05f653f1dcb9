"""Roles and databases, provisioned on a real server."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.provision import postgres as provisioner
from services.provision.spec import DatabaseSpec, ProvisionError
from services.shared.postgres.database import connect, is_unavailable
from tests.integration.authority import PATIENCE
from tests.integration.ports import free_port
from tests.integration.servers import Authority, PostgresServer, eventually


def spec_of(authority: Authority, name: str) -> DatabaseSpec:
    return DatabaseSpec(name=name, role=name, password_file=authority.secret(name))


async def test_running_it_again_or_twice_at_once_changes_nothing(
    postgres: PostgresServer, authority: Authority
) -> None:
    wanted = postgres.spec(spec_of(authority, "again_a"), spec_of(authority, "again_b"))
    await asyncio.gather(*(provisioner.provision(wanted) for _ in range(3)))
    query = """
        SELECT d.datname, pg_get_userbyid(d.datdba) AS owner, d.datacl::text[] AS acl,
               r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolbypassrls OR r.rolreplication
               AS powerful
        FROM pg_database d JOIN pg_roles r ON r.rolname = d.datname
        WHERE datname LIKE 'again%' ORDER BY 1"""
    first = await postgres.as_admin(query)
    await provisioner.provision(wanted)
    assert await postgres.as_admin(query) == first
    for name, row in zip(("again_a", "again_b"), first, strict=True):
        assert (row["datname"], row["owner"], row["powerful"]) == (name, name, False)
        # An entry without a name before the "=" would be PUBLIC's.
        assert [entry.partition("=")[0] for entry in row["acl"]] == [name]


async def test_a_role_cannot_enter_another_database(
    postgres: PostgresServer, authority: Authority
) -> None:
    mine, other = spec_of(authority, "mine"), spec_of(authority, "other")
    await provisioner.provision(postgres.spec(mine, other))
    trespasser = postgres.settings("other", "mine", mine.password_file)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await connect(trespasser, "test", connect_timeout=PATIENCE)


@pytest.mark.parametrize("shared", ["postgres", "template1"])
async def test_a_role_cannot_enter_the_servers_own_databases(
    postgres: PostgresServer, authority: Authority, shared: str
) -> None:
    spec = spec_of(authority, "own_only")
    await provisioner.provision(postgres.spec(spec))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await connect(
            postgres.settings(shared, "own_only", spec.password_file),
            "test",
            connect_timeout=PATIENCE,
        )


async def test_a_rotated_password_takes_over_at_the_next_run(
    postgres: PostgresServer, authority: Authority
) -> None:
    spec = spec_of(authority, "rotated")
    await provisioner.provision(postgres.spec(spec))
    old = spec.password_file.read_text()
    spec.password_file.write_text('it\'s a \\ "new" pässword')
    await provisioner.provision(postgres.spec(spec))
    await (
        await connect(
            postgres.settings("rotated", "rotated", spec.password_file),
            "t",
            connect_timeout=PATIENCE,
        )
    ).close()
    spec.password_file.write_text(old)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(
            postgres.settings("rotated", "rotated", spec.password_file),
            "test",
            connect_timeout=PATIENCE,
        )


async def test_a_role_that_left_the_spec_cannot_log_in_and_its_data_is_kept(
    postgres: PostgresServer, authority: Authority
) -> None:
    stays, leaves = spec_of(authority, "stays"), spec_of(authority, "leaves")
    await provisioner.provision(postgres.spec(stays, leaves))
    settings = postgres.settings("leaves", "leaves", leaves.password_file)
    session = await connect(settings, "test", connect_timeout=PATIENCE)
    await session.execute("CREATE TABLE kept AS SELECT 1 AS row")

    async def alone() -> bool:
        (row,) = await postgres.as_admin(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE usename = 'leaves'"
        )
        return row["n"] == 1

    await eventually(alone)  # the session that provisioned it may be ending still
    with capture_logs() as said:
        await provisioner.provision(postgres.spec(stays))
    (line,) = [line for line in said if line.get("role") == "leaves"]
    assert (line["event"], line["log_level"]) == ("role_locked_out", "warning")
    assert (line["databases_kept"], line["sessions_ended"]) == (["leaves"], 1)
    # What asyncpg says depends on whether it has read the server's last words already.
    with pytest.raises(Exception) as ended:  # noqa: PT011
        await session.fetchval("SELECT 1")
    assert is_unavailable(ended.value)
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await connect(settings, "test", connect_timeout=PATIENCE)
    await (
        await connect(
            postgres.settings("stays", "stays", stays.password_file), "t", connect_timeout=PATIENCE
        )
    ).close()

    with capture_logs() as said:
        await provisioner.provision(postgres.spec(stays))
    assert not [line for line in said if line["event"] == "role_locked_out"], "it is said once"
    await provisioner.provision(postgres.spec(stays, leaves))
    session = await connect(settings, "test", connect_timeout=PATIENCE)
    assert await session.fetchval("SELECT count(*) FROM kept") == 1
    await session.close()


async def test_sessions_that_an_interrupted_run_left_are_ended_by_the_next(
    postgres: PostgresServer, authority: Authority
) -> None:
    stays, leaves = spec_of(authority, "remains"), spec_of(authority, "departs")
    await provisioner.provision(postgres.spec(stays, leaves))
    session = await connect(
        postgres.settings("departs", "departs", leaves.password_file),
        "test",
        connect_timeout=PATIENCE,
    )
    await postgres.as_admin("ALTER ROLE departs WITH NOLOGIN PASSWORD NULL")
    await provisioner.provision(postgres.spec(stays))
    # What asyncpg says depends on whether it has read the server's last words already.
    with pytest.raises(Exception) as ended:  # noqa: PT011
        await session.fetchval("SELECT 1")
    assert is_unavailable(ended.value)


async def test_a_superuser_is_never_locked_out(
    postgres: PostgresServer, authority: Authority
) -> None:
    neighbour = postgres.spec(spec_of(authority, "neighbour"))
    await provisioner.provision(neighbour)
    await postgres.as_admin("CREATE ROLE root LOGIN SUPERUSER IN ROLE millrace_service")
    await provisioner.provision(neighbour)
    (role,) = await postgres.as_admin("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'root'")
    assert role["rolcanlogin"]


async def test_a_role_that_somebody_else_made_is_left_alone(
    postgres: PostgresServer, authority: Authority
) -> None:
    await postgres.as_admin("CREATE ROLE somebody_elses LOGIN")
    await provisioner.provision(postgres.spec(spec_of(authority, "neighbour")))
    (role,) = await postgres.as_admin(
        "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'somebody_elses'"
    )
    assert role["rolcanlogin"]


async def test_databases_that_were_lost_with_their_volume_are_there_again_after_another_run(
    postgres: PostgresServer, authority: Authority
) -> None:
    wanted = postgres.spec(spec_of(authority, "lost"))
    await provisioner.provision(wanted)
    await postgres.as_admin("DROP DATABASE lost")
    await postgres.as_admin("DROP ROLE lost")
    await provisioner.provision(wanted)
    (database,) = wanted.databases
    await (
        await connect(
            postgres.settings("lost", "lost", database.password_file), "t", connect_timeout=PATIENCE
        )
    ).close()


async def test_a_service_session_has_limits(postgres: PostgresServer, authority: Authority) -> None:
    spec = spec_of(authority, "limited")
    await provisioner.provision(postgres.spec(spec))
    connection = await connect(
        postgres.settings("limited", "limited", spec.password_file),
        "test",
        connect_timeout=PATIENCE,
    )
    for name, value in (provisioner.LIMITS | provisioner.LIMITS_17).items():
        assert await connection.fetchval(f"SHOW {name}") == value
    await connection.close()


async def test_no_password_reaches_the_servers_log(
    postgres: PostgresServer, authority: Authority
) -> None:
    await postgres.as_admin("ALTER SYSTEM SET log_statement = 'all'")
    await postgres.as_admin("SELECT pg_reload_conf()")

    async def logs_all() -> bool:
        (row,) = await postgres.as_admin("SHOW log_statement")
        return row["log_statement"] == "all"

    try:
        await eventually(logs_all)  # the server reads it when it comes to that
        spec = spec_of(authority, "silent")
        await provisioner.provision(postgres.spec(spec))
        await postgres.as_admin("SELECT 'that was all'")

        async def all_of_it() -> bool:
            return "that was all" in postgres.container.logs()

        await eventually(all_of_it)  # the engine has it a moment later
        assert "CREATE ROLE" in postgres.container.logs()
        assert spec.password_file.read_text() not in postgres.container.logs()
    finally:
        await postgres.as_admin("ALTER SYSTEM RESET log_statement")
        await postgres.as_admin("SELECT pg_reload_conf()")


async def test_a_slow_statement_is_logged_without_what_it_was_given(
    postgres: PostgresServer,
) -> None:
    connection = await connect(postgres.admin, "test", connect_timeout=PATIENCE)
    await connection.fetchval("SELECT 'the slow one' FROM pg_sleep(1.1), length($1)", "of a client")
    await connection.close()

    async def logged() -> bool:
        return "the slow one" in postgres.container.logs()

    await eventually(logged)
    assert "of a client" not in postgres.container.logs()


async def test_a_wrong_administrator_password_is_an_error_that_says_so(
    postgres: PostgresServer, authority: Authority, tmp_path: Path
) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("wrong")
    spec = postgres.spec(spec_of(authority, "never"))
    with pytest.raises(ProvisionError, match="admin_password_file holds the password"):
        await provisioner.provision(
            spec.model_copy(update={"admin_password_file": wrong}), wait_seconds=0.2
        )
    with pytest.raises(ProvisionError, match="did not let postgres in"):
        await provisioner.provision(spec.model_copy(update={"port": free_port()}), wait_seconds=0.2)
