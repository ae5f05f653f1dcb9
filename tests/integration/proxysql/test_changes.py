"""Certificates, passwords, accounts and routes change while clients work, and they go on."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from pymysql.err import MySQLError, OperationalError

from components.kit import paths
from components.servers.mysql import config as mysql_config
from components.servers.proxysql.config import MONITOR_USER
from components.servers.proxysql.rules import MARKER
from operations.rotate import presented
from services.provision import mysql as provisioner
from services.provision.spec import AccountSpec, MySQLDatabaseSpec, MySQLSpec, PreviousSpec
from services.shared.mysql.connections import connect
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE, Authority, eventually
from tests.integration.containers import File
from tests.integration.mysql_container import MYSQL_UID
from tests.integration.proxysql_container import PROXYSQL_UID, Proxy
from tests.integration.proxysql_platform import DATABASE, Platform, client, run, tls


async def goes_by(platform: Platform, proxy: Proxy, version: str) -> bool:
    with pytest.raises(MySQLError) as raised:
        await platform.ask(MARKER, proxy=proxy)
    return version in str(raised.value)


async def test_another_certificate_is_served_and_nobody_is_disconnected(
    platform: Platform,
) -> None:
    proxy = platform.proxy
    served = proxy.container.ask("sha1sum", "/run/proxysql/data/proxysql-cert.pem")[1]
    async with client(platform.settings()) as connection:
        (before,) = await run(connection, "SELECT name FROM node")
        chain, key = platform.proxy.authority.issue()
        old = tls(connection).getpeercert(binary_form=True)
        proxy.container.put(
            {
                f"{paths.TLS}/tls.key": File(key, 0o440, PROXYSQL_UID),
                f"{paths.TLS}/tls.crt": File(chain),
            }
        )

        async def taken() -> bool:
            async with client(platform.settings()) as other:
                stream = tls(other)
                return stream.getpeercert(binary_form=True) != old

        await eventually(taken)
        assert await run(connection, "SELECT name FROM node") == [before]
    assert proxy.container.ask("sha1sum", "/run/proxysql/data/proxysql-cert.pem")[1] != served


async def test_a_password_is_replaced_through_the_proxy_and_no_client_is_refused(
    platform: Platform, tmp_path: Path
) -> None:
    """As the program does it: the server takes both, clients hold both, then the proxies change."""
    authority, account = platform.proxy.authority, platform.account
    new, old = authority.secret("new"), account.password_file
    owner = AccountSpec(name=f"{DATABASE}_owner", password_file=authority.secret("owner"))

    def spec(*, previous: bool) -> MySQLSpec:
        user = AccountSpec(
            name=account.name,
            password_file=new,
            previous=PreviousSpec(password_file=old, accepted=previous),
        )
        database = MySQLDatabaseSpec(name=DATABASE, user=user, owner=owner)
        monitor = authority.folder / "monitor-now"
        monitor.write_text(platform.routes.monitor)
        return platform.source.spec(database).model_copy(
            update={"monitor": AccountSpec(name=MONITOR_USER, password_file=monitor)}
        )

    def settings(password_file: Path, proxy: Proxy) -> DatabaseSettings:
        return platform.settings(proxy).model_copy(update={"password_file": password_file})

    async def refused(password_file: Path, proxy: Proxy) -> bool:
        try:
            made = await connect(settings(password_file, proxy), "test", connect_timeout=PATIENCE)
        except OperationalError as error:
            if "Access denied" not in str(error):
                raise
            return True
        made.close()
        return False

    held = tmp_path / "held"
    held.mkdir()
    (held / "password").write_text(new.read_text())
    (held / "before").write_text(old.read_text())
    await provisioner.provision(spec(previous=True))
    async with client(platform.settings()) as connection:
        routes = replace(platform.routes, passwords={account.name: new.read_text()})
        for proxy in platform.proxies:
            assert not await refused(old, proxy)
            proxy.take(routes)

            async def changed(proxy: Proxy = proxy) -> bool:
                return await goes_by(
                    replace(platform, account=_with(platform, new)), proxy, routes.version
                )

            async def over(proxy: Proxy = proxy) -> bool:
                # Who holds both gets in at any moment.
                assert not await refused(held / "password", proxy)
                return not await refused(new, proxy)

            await eventually(over)
            assert await changed()
            assert await refused(old, proxy)
        await provisioner.provision(spec(previous=False))
        await run(connection, "INSERT INTO t VALUES (1, 'a session of before')")
    platform.routes = routes
    old.write_text(new.read_text())
    assert len(await platform.ask("SELECT /* writer */ id FROM t")) == 1


def _with(platform: Platform, password_file: Path) -> AccountSpec:
    return platform.account.model_copy(update={"password_file": password_file})


async def test_a_change_of_passwords_waits_as_long_as_it_is_told_to(platform: Platform) -> None:
    proxy = platform.proxies[1]
    routes = replace(platform.routes, connections=9, settle_seconds=10)
    proxy.take(routes)
    assert not await goes_by(platform, proxy, routes.version)

    async def followed() -> bool:
        return await goes_by(platform, proxy, routes.version)

    await eventually(followed)
    proxy.take(platform.routes)

    async def back() -> bool:
        return await goes_by(platform, proxy, platform.routes.version)

    await eventually(back)


async def test_a_password_of_the_monitor_is_replaced_and_the_writer_stays(
    platform: Platform,
) -> None:
    new = platform.proxy.authority.secret("monitor")
    await platform.source.as_admin(
        f"ALTER USER {MONITOR_USER} IDENTIFIED BY '{new.read_text()}' RETAIN CURRENT PASSWORD"
    )
    routes = replace(platform.routes, monitor=new.read_text())
    for proxy in platform.proxies:
        proxy.take(routes)

        async def taken(proxy: Proxy = proxy) -> bool:
            return await goes_by(platform, proxy, routes.version)

        await eventually(taken)
    await platform.source.as_admin(f"ALTER USER {MONITOR_USER} DISCARD OLD PASSWORD")
    platform.routes = routes
    await platform.source.as_admin("SELECT 1")
    for proxy in platform.proxies:
        checks = "SELECT COUNT(*) FROM monitor.mysql_server_connect_log WHERE connect_error IS NULL"
        assert proxy.ask(checks)
        await platform.whole(proxy)
    await platform.ask("INSERT INTO t VALUES (1, 'a')")


async def test_a_new_account_gets_in_and_one_that_is_gone_does_not(platform: Platform) -> None:
    authority, proxy = platform.proxy.authority, platform.proxies[1]
    made = authority.secret("another")
    await platform.source.as_admin(
        f"CREATE USER another IDENTIFIED BY '{made.read_text()}' REQUIRE SSL"
    )
    await platform.source.as_admin(f"GRANT SELECT ON {DATABASE}.* TO another")
    settings = proxy.settings(DATABASE, "another", made)
    proxy.take(
        replace(
            platform.routes, passwords={**platform.routes.passwords, "another": made.read_text()}
        )
    )

    async def let_in() -> bool:
        try:
            async with client(settings) as connection:
                return bool(await run(connection, "SELECT name FROM node"))
        except OperationalError as error:
            if "Access denied" not in str(error):
                raise
            return False

    await eventually(let_in)
    proxy.take(platform.routes)

    async def kept_out() -> bool:
        return not await let_in()

    await eventually(kept_out)
    await platform.source.as_admin("DROP USER another")


async def test_a_server_with_a_certificate_of_a_ca_that_was_added_is_trusted_at_once(
    platform: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    authority, replica = platform.proxy.authority, platform.replica
    added = Authority.make(tmp_path_factory.mktemp("added-pki"))
    both = authority.ca_pem + added.ca_pem
    for container in (*(proxy.container for proxy in platform.proxies), replica.container):
        container.put({paths.CA_FILE: File(both), f"{paths.TLS}/ca.crt": File(both)})
    await _certify(platform, added)
    for row in await _sessions(platform):
        with contextlib.suppress(MySQLError):
            await replica_admin(platform, f"KILL {row['id']}")
    for _ in range(5):
        assert await platform.ask("SELECT name FROM node") == [{"name": "replica"}]
    assert await _sessions(platform)
    await _certify(platform, authority)


async def _certify(platform: Platform, authority: Authority) -> None:
    """The replica has another certificate, of that authority."""
    chain, key = authority.issue("localhost", "routed-1")
    replica = platform.replica
    replica.container.put(
        {
            f"{paths.TLS}/tls.key": File(key, 0o600, MYSQL_UID),
            f"{paths.TLS}/tls.crt": File(chain),
        }
    )

    async def served() -> bool:
        pem = authority.ca_pem.decode()
        return await asyncio.to_thread(presented.leads, "mysql", replica.port, pem)

    await eventually(served)


async def replica_admin(platform: Platform, statement: str) -> list[dict[str, object]]:
    """Over the socket of the replica, whose certificate is no test's affair."""
    code, output = platform.replica.container.ask(
        "bash",
        "-c",
        "mysql --defaults-file=<(printf '[client]\npassword=%s\n'"
        f' "$(cat {mysql_config.ADMIN_PATH}/password)") --user=root --batch'
        f' --socket={mysql_config.SOCKET_PATH}/mysqld.sock --execute="{statement}"',
    )
    assert code == 0, output
    names, *rows = [line.split("\t") for line in output.splitlines()] or [[]]
    return [dict(zip(names, row, strict=True)) for row in rows]


async def _sessions(platform: Platform) -> list[dict[str, object]]:
    name = platform.account.name
    return await replica_admin(
        platform, f"SELECT id FROM information_schema.processlist WHERE user = '{name}'"
    )
