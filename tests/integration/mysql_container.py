"""MySQL as the cluster runs it: the same program, configuration and start script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.kit import paths
from components.servers.mysql import config
from services.provision import mysql as provisioner
from services.provision.spec import AccountSpec, MySQLDatabaseSpec, MySQLSpec
from services.shared.mysql.connections import connect, is_unavailable
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE, Authority, eventually
from tests.integration.containers import Container, Containers, File

MYSQL_UID = 10005


@dataclass
class MySQLServer:
    container: Container
    authority: Authority
    admin_password_file: Any

    @property
    def port(self) -> int:
        return self.container.ports[config.PORT]

    @property
    def admin(self) -> DatabaseSettings:
        """The administrator, on the database `mysql`."""
        return self.settings("mysql", "root", self.admin_password_file)

    def settings(self, name: str, user: str, password_file: Any) -> DatabaseSettings:
        return DatabaseSettings(
            host="localhost",
            port=self.port,
            name=name,
            user=user,
            password_file=password_file,
            ca_file=self.authority.ca_file,
            pool_size=10,
        )

    async def provision(self, name: str, *, role: str = "user") -> DatabaseSettings:
        """A new database; settings of its services' account (`role` user) or its owner's."""
        made = self.database(name)
        await provisioner.provision(self.spec(made))
        # Tests share the server: the next one's spec, which lacks these, must not lock them out.
        for account in (made.user, made.owner):
            await self.as_admin(
                f"ALTER USER '{account.name}'@'%' ATTRIBUTE '{{\"millrace\": null}}'"
            )
        account = made.owner if role == "owner" else made.user
        return self.settings(name, account.name, account.password_file)

    def database(self, name: str) -> MySQLDatabaseSpec:
        """A database and its accounts, `<name>_user` and `<name>_owner`, with new passwords."""
        user, owner = (
            AccountSpec(
                name=f"{name}_{kind}", password_file=self.authority.secret(f"{name}-{kind}")
            )
            for kind in ("user", "owner")
        )
        return MySQLDatabaseSpec(name=name, user=user, owner=owner)

    def spec(self, *databases: MySQLDatabaseSpec, backup: AccountSpec | None = None) -> MySQLSpec:
        return MySQLSpec(
            host="localhost",
            port=self.port,
            admin_password_file=self.admin_password_file,
            ca_file=self.authority.ca_file,
            databases=list(databases),
            backup=backup,
        )

    async def wait(self) -> None:
        """Until it takes connections."""
        await eventually(self._answers, 240)

    async def _answers(self) -> bool:
        assert self.container.running(), self.container.logs()
        try:
            connection = await connect(self.admin, "test", connect_timeout=PATIENCE)
        except Exception as error:
            if not is_unavailable(error):
                raise
            return False
        connection.close()
        return True

    async def as_admin(self, statement: str, database: str = "mysql") -> list[dict[str, Any]]:
        settings = self.admin.model_copy(update={"name": database})
        connection = await connect(settings, "test", connect_timeout=PATIENCE)
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(statement)
                return list(await cursor.fetchall())
        finally:
            connection.close()

    def ready(self, *more: str) -> bool:
        """What the cluster's probe says."""
        code, _ = self.container.ask("bash", f"{config.CONFIG_PATH}/ready.sh", *more)
        return code == 0


def mysql_files(
    authority: Authority, passwords: Mapping[str, bytes], hostname: str | None, **settings: int
) -> dict[str, File]:
    """What the cluster mounts: configuration, scripts, certificate, and passwords by their path."""
    names = ("localhost", "client-database", hostname or "client-database-0")
    chain, key = authority.issue(*names)
    lag = settings.pop("max_lag_seconds", 30)
    values = {
        "max_connections": 50,
        "buffer_pool_mebibytes": 64,
        "binlog_retention_seconds": 86400,
        **settings,
    }
    uid = MYSQL_UID
    texts = {
        "my.cnf": config.my_cnf(**values),
        "start.sh": config.start_script(),
        "adopt.sh": config.adopt_script(),
        "ready.sh": config.probe_script(max_lag_seconds=lag),
    }
    return {
        **{f"{config.CONFIG_PATH}/{name}": File(text.encode()) for name, text in texts.items()},
        **{f"{path}/password": File(value, 0o600, uid) for path, value in passwords.items()},
        config.DATA_PATH: File(None, 0o700, uid),
        config.SOCKET_PATH: File(None, 0o700, uid),
        f"{paths.TLS}/ca.crt": File(authority.ca_pem),
        f"{paths.TLS}/tls.crt": File(chain),
        f"{paths.TLS}/tls.key": File(key, 0o600, uid),
    }


def start_mysql(
    containers: Containers,
    authority: Authority,
    *,
    hostname: str | None = None,
    source: str = "",
    passwords: Mapping[str, bytes] | None = None,
    name: str = "mysql",
    **settings: int,
) -> MySQLServer:
    """MySQL 9.7 from the texts the cluster uses, with the data in a folder of the container.

    Nodes of one server have a `hostname` each and share `passwords`; its copies are given that of
    their `source`.
    """
    admin = authority.secret("mysql-admin")
    known = {
        config.ADMIN_PATH: admin.read_bytes(),
        config.HEALTH_PATH: authority.secret("mysql-health").read_bytes(),
        **(passwords or {}),
    }
    admin.write_bytes(known[config.ADMIN_PATH])
    container = containers.run(
        name,
        containers.image("mysql"),
        ["bash", f"{config.CONFIG_PATH}/start.sh"],
        uid=MYSQL_UID,
        ports=[config.PORT],
        environment={"POD_NAME": hostname or "client-database-0", "SOURCE_HOST": source},
        files=mysql_files(authority, known, hostname, **settings),
        hostname=hostname,
    )
    return MySQLServer(container, authority, admin)
