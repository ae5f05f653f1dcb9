"""A source and its replica, and two proxies before them: as the cluster has them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pymysql.err import MySQLError

from components.servers.mysql import config as mysql_config
from components.servers.proxysql.config import MONITOR_USER, Backend, Routes
from services.provision import mysql as provisioner
from services.provision.spec import AccountSpec
from services.shared.mysql.connections import Connection, connect
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE, Authority, eventually
from tests.integration.containers import Containers
from tests.integration.proxysql_container import Proxy, start_proxy
from tests.integration.servers import MySQLServer, start_mysql

NODES = "routed"
SOURCE, REPLICA = f"{NODES}-0", f"{NODES}-1"
DATABASE = "routed"


@dataclass
class Platform:
    """All of it, and what clients of the database are told."""

    source: MySQLServer
    replica: MySQLServer
    proxies: tuple[Proxy, Proxy]
    account: AccountSpec
    routes: Routes
    replication: bytes = field(repr=False)
    """Password of the account that the replica follows with."""

    @property
    def proxy(self) -> Proxy:
        return self.proxies[0]

    def settings(self, proxy: Proxy | None = None) -> DatabaseSettings:
        return (proxy or self.proxy).settings(
            DATABASE, self.account.name, self.account.password_file
        )

    @property
    def direct(self) -> DatabaseSettings:
        return self.source.settings(DATABASE, self.account.name, self.account.password_file)

    async def ask(self, *statements: str, proxy: Proxy | None = None) -> list[dict[str, Any]]:
        """One after the other over a connection of their own; what the last one answers."""
        # Services wait 5 s: ProxySQL may let a statement wait for ever whose server went.
        async with client(self.settings(proxy), command_timeout=20) as connection:
            found: list[dict[str, Any]] = []
            for statement in statements:
                found = await run(connection, statement)
            return found

    async def whole(self, proxy: Proxy | None = None) -> None:
        """Until reads go to the replica and writes to the source."""

        async def so() -> bool:
            asked = proxy or self.proxy
            # Without a statement that needs it no server is tried again.
            for hint in ("", "/* writer */"):
                with contextlib.suppress(MySQLError, OSError):
                    await self.ask(f"SELECT {hint} name FROM node", proxy=asked)
            return asked.online(10) == {SOURCE} and asked.online(20) == {SOURCE, REPLICA}

        await eventually(so)


async def run(connection: Connection, statement: str) -> list[dict[str, Any]]:
    async with connection.cursor() as cursor:
        await cursor.execute(statement)
        return list(await cursor.fetchall())


def tls(connection: Any) -> Any:
    """The TLS of a connection, as the ssl module has it."""
    return connection._writer.get_extra_info("ssl_object")


@asynccontextmanager
async def client(settings: DatabaseSettings, **how: Any) -> AsyncIterator[Connection]:
    made = await connect(settings, "test", connect_timeout=PATIENCE, **how)
    try:
        yield made
    finally:
        made.close()


async def _pair(
    containers: Containers, authority: Authority
) -> tuple[MySQLServer, MySQLServer, bytes]:
    passwords = {
        path: authority.secret("mysql").read_bytes()
        for path in (
            mysql_config.ADMIN_PATH,
            mysql_config.HEALTH_PATH,
            mysql_config.REPLICATION_PATH,
        )
    }
    shared: Any = {"passwords": passwords, "max_connections": 60}
    source = start_mysql(containers, authority, name=SOURCE, hostname=SOURCE, **shared)
    await source.wait()
    replica = start_mysql(
        containers, authority, name=REPLICA, hostname=REPLICA, source=SOURCE, **shared
    )
    await replica.wait()
    return source, replica, passwords[mysql_config.REPLICATION_PATH]


@asynccontextmanager
async def opened(
    containers: Containers, authority: Authority, *, connections: int = 10
) -> AsyncIterator[Platform]:
    """Everything of it, until it is closed."""
    source, replica, replication = await _pair(containers, authority)
    database = source.database(DATABASE)
    monitor = AccountSpec(name=MONITOR_USER, password_file=authority.secret("monitor"))
    spec = source.spec(database).model_copy(update={"monitor": monitor})
    await provisioner.provision(spec)
    await source.as_admin("CREATE TABLE t (id INT PRIMARY KEY, value VARCHAR(100))", DATABASE)
    await source.as_admin("CREATE TABLE node (name VARCHAR(20) PRIMARY KEY)", DATABASE)
    await source.as_admin("INSERT INTO node VALUES ('source')", DATABASE)

    async def arrived() -> bool:
        return bool(await replica.as_admin("SHOW TABLES LIKE 'node'", DATABASE)) and bool(
            await replica.as_admin("SELECT name FROM node", DATABASE)
        )

    await eventually(arrived)
    # Which one answered is told by a row that is another one on each.
    await replica.as_admin("SET GLOBAL super_read_only = OFF")
    await _name(replica)
    await replica.as_admin("SET GLOBAL super_read_only = ON")
    routes = Routes(
        backends=(Backend(SOURCE, 3306, writer=True), Backend(REPLICA, 3306, writer=False)),
        passwords={database.user.name: database.user.password_file.read_text()},
        monitor=monitor.password_file.read_text(),
        connections=connections,
        max_lag_seconds=60,
    )
    proxies = (
        start_proxy(containers, authority, routes, name="proxysql-0"),
        start_proxy(containers, authority, routes, name="proxysql-1"),
    )
    for proxy in proxies:
        await proxy.wait()
    made = Platform(source, replica, proxies, database.user, routes, replication)
    for proxy in proxies:
        await made.whole(proxy)
    try:
        yield made
    finally:
        for container in (*(p.container for p in proxies), replica.container, source.container):
            container.remove()


async def _name(replica: MySQLServer) -> None:
    async with client(replica.admin.model_copy(update={"name": DATABASE})) as connection:
        await run(connection, "SET sql_log_bin = 0")
        await run(connection, "UPDATE node SET name = 'replica'")
