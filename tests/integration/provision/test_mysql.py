"""Provisioning a MySQL server: exactly the rights of the spec, and nobody who left it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pymysql.err import MySQLError, OperationalError

from services.provision.mysql import provision
from services.provision.spec import AccountSpec, MySQLDatabaseSpec
from services.shared.mysql.connections import Connection, connect
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.servers import MySQLServer


def as_account(server: MySQLServer, name: str, account: AccountSpec) -> DatabaseSettings:
    return server.settings(name, account.name, account.password_file)


async def run(settings: DatabaseSettings, *statements: str) -> list[dict[str, object]]:
    connection = await connect(settings, "test", connect_timeout=PATIENCE)
    try:
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
            return list(await cursor.fetchall())
    finally:
        connection.close()


async def refused(settings: DatabaseSettings, statement: str) -> bool:
    with pytest.raises(MySQLError) as caught:
        await run(settings, statement)
    return caught.value.args[0] in (1044, 1142, 1227, 1045, 1410, 1370)


@pytest.fixture
async def shop(mysql: MySQLServer) -> MySQLDatabaseSpec:
    made = mysql.database("shop_db")
    await provision(mysql.spec(made))
    await run(
        as_account(mysql, "shop_db", made.owner),
        "CREATE TABLE IF NOT EXISTS things (id INT PRIMARY KEY, v VARCHAR(10))",
    )
    return made


async def test_the_services_account_reads_and_writes_rows_and_does_nothing_else(
    mysql: MySQLServer, shop: MySQLDatabaseSpec
) -> None:
    user = as_account(mysql, "shop_db", shop.user)
    rows = await run(
        user,
        "INSERT INTO things VALUES (1, 'a') ON DUPLICATE KEY UPDATE v = 'a'",
        "UPDATE things SET v = 'b' WHERE id = 1",
        "SELECT v FROM things WHERE id = 1",
    )
    assert rows == [{"v": "b"}]
    for statement in (
        "DELETE FROM things",
        "DROP TABLE things",
        "TRUNCATE things",
        "CREATE TABLE more (id INT)",
        "ALTER TABLE things ADD COLUMN w INT",
        "CREATE DATABASE other",
        "CREATE USER evil IDENTIFIED BY 'x'",
        "SELECT * FROM mysql.user",
        "SHOW BINARY LOGS",
        "LOCK TABLES things WRITE",
    ):
        assert await refused(user, statement), statement


async def test_the_owner_changes_its_own_tables_and_no_others(
    mysql: MySQLServer, shop: MySQLDatabaseSpec
) -> None:
    owner = as_account(mysql, "shop_db", shop.owner)
    await run(owner, "CREATE TABLE IF NOT EXISTS more (id INT)", "DROP TABLE more")
    # A pattern in a GRANT would let it into this one.
    await mysql.as_admin("CREATE DATABASE IF NOT EXISTS shopxdb")
    for statement in (
        "CREATE TABLE shopxdb.t (id INT)",
        "CREATE USER evil IDENTIFIED BY 'x'",
        "GRANT SELECT ON shop_db.* TO root@'%'",
        "SELECT * FROM mysql.user",
    ):
        assert await refused(owner, statement), statement


async def test_rights_that_somebody_added_are_taken_away_and_missing_ones_come_back(
    mysql: MySQLServer, shop: MySQLDatabaseSpec
) -> None:
    user = f"'{shop.user.name}'@'%'"
    await mysql.as_admin(f"GRANT DELETE ON `shop\\_db`.* TO {user}")
    await mysql.as_admin(f"GRANT PROCESS, BACKUP_ADMIN ON *.* TO {user}")
    await mysql.as_admin(f"GRANT DROP ON shop_db.things TO {user}")
    await mysql.as_admin(f"REVOKE INSERT ON `shop\\_db`.* FROM {user}")
    await provision(mysql.spec(shop))
    rows = await mysql.as_admin(f"SHOW GRANTS FOR {user}")
    assert sorted(next(iter(row.values())) for row in rows) == [
        "GRANT SELECT, INSERT, UPDATE ON `shop\\_db`.* TO `shop_db_user`@`%`",
        "GRANT USAGE ON *.* TO `shop_db_user`@`%`",
    ]


async def test_a_run_again_sets_a_new_password_and_the_old_one_is_dead(
    mysql: MySQLServer, shop: MySQLDatabaseSpec, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    old.write_text(shop.user.password_file.read_text())
    shop.user.password_file.write_text("anewpassword")
    await provision(mysql.spec(shop))
    assert await run(as_account(mysql, "shop_db", shop.user), "SELECT 1 AS one")
    stale = mysql.settings("shop_db", shop.user.name, old)
    with pytest.raises(OperationalError, match="Access denied"):
        await connect(stale, "test", connect_timeout=PATIENCE)


async def test_an_account_that_left_the_spec_is_locked_out_with_its_sessions(
    mysql: MySQLServer, shop: MySQLDatabaseSpec
) -> None:
    gone = mysql.database("gone_db")
    await provision(mysql.spec(shop, gone))
    session: Connection = await connect(
        as_account(mysql, "gone_db", gone.user), "test", connect_timeout=PATIENCE
    )
    await provision(mysql.spec(shop))
    with pytest.raises(MySQLError):
        await session.ping(reconnect=False)
    with pytest.raises(OperationalError, match="locked"):
        await connect(as_account(mysql, "gone_db", gone.user), "test", connect_timeout=PATIENCE)
    # Its database stays, and with the line back in the spec it gets in again.
    await provision(mysql.spec(shop, gone))
    assert await run(as_account(mysql, "gone_db", gone.user), "SELECT 1 AS one")
    await provision(mysql.spec(shop))


async def test_two_runs_at_once_do_not_disturb_each_other(
    mysql: MySQLServer, shop: MySQLDatabaseSpec
) -> None:
    await asyncio.gather(*(provision(mysql.spec(shop)) for _ in range(3)))
    assert await run(as_account(mysql, "shop_db", shop.user), "SELECT 1 AS one")


async def test_nobody_gets_in_without_tls(mysql: MySQLServer, shop: MySQLDatabaseSpec) -> None:
    password = shop.user.password_file.read_text()
    said = {
        mode: mysql.container.ask(
            *("mysql", "--no-defaults", "--protocol=TCP", "--host=127.0.0.1", f"--ssl-mode={mode}"),
            *("--get-server-public-key", f"--user={shop.user.name}", f"--password={password}"),
            "--execute=SELECT 1",
        )[0]
        for mode in ("DISABLED", "REQUIRED")
    }
    assert said == {"DISABLED": 1, "REQUIRED": 0}


async def test_the_backup_account_takes_a_dump_and_reads_the_binary_log_and_writes_nothing(
    mysql: MySQLServer, shop: MySQLDatabaseSpec
) -> None:
    backup = AccountSpec(name="backup_user", password_file=mysql.authority.secret("backup"))
    await provision(mysql.spec(shop, backup=backup))
    password = backup.password_file.read_text()
    there = ["--protocol=TCP", "--host=127.0.0.1", "--ssl-mode=REQUIRED", "--user=backup_user"]
    code, said = mysql.container.ask(
        *("mysqldump", "--no-defaults", *there, f"--password={password}", "--single-transaction"),
        *("--source-data=2", "--set-gtid-purged=ON", "--no-tablespaces", "--routines=false"),
        *("--triggers", "--events", "--databases", "shop_db"),
    )
    assert code == 0, said
    assert "CREATE TABLE `things`" in said
    assert "GTID_PURGED" in said
    (log,) = await mysql.as_admin("SHOW BINARY LOG STATUS")
    code, said = mysql.container.ask(
        *("mysqlbinlog", "--no-defaults", *there, f"--password={password}"),
        *("--read-from-remote-server", "--raw", "--result-file=/tmp/", log["File"]),
    )
    assert code == 0, said
    account = as_account(mysql, "shop_db", backup)
    for statement in ("INSERT INTO things VALUES (9, 'z')", "SELECT * FROM mysql.user"):
        assert await refused(account, statement), statement
