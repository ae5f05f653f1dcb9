"""PostgreSQL, Redis and, from beside, MySQL as the cluster runs them: same programs, TLS, SCRAM,
ACLs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from components.kit import paths
from components.servers.postgres import config as postgres_config
from components.servers.redis import config as redis_config
from services.provision import postgres as provisioner
from services.provision.spec import DatabaseSpec, PostgresSpec
from services.shared.postgres.database import connect, is_unavailable
from services.shared.redis import client as redis_client
from services.shared.runtime.settings import DatabaseSettings, RedisSettings
from tests.integration.authority import PATIENCE, Authority, eventually
from tests.integration.containers import Container, Containers, File
from tests.integration.mysql_container import MySQLServer, start_mysql
from tests.integration.redis_users import redis_user

__all__ = [
    "Authority",
    "MySQLServer",
    "PostgresServer",
    "RedisServer",
    "eventually",
    "run_redis",
    "start_mysql",
    "start_postgres",
    "start_redis",
]

POSTGRES_UID, REDIS_UID = 10003, 10004


@dataclass
class PostgresServer:
    container: Container
    authority: Authority
    admin_password_file: Path

    @property
    def port(self) -> int:
        return self.container.ports[5432]

    @property
    def admin(self) -> DatabaseSettings:
        """The superuser on the database `postgres`."""
        return self.settings("postgres", "postgres", self.admin_password_file)

    def settings(self, name: str, user: str, password_file: Path) -> DatabaseSettings:
        return DatabaseSettings(
            host="localhost",
            port=self.port,
            name=name,
            user=user,
            password_file=password_file,
            ca_file=self.authority.ca_file,
            pool_size=10,
        )

    async def provision(self, name: str) -> DatabaseSettings:
        """A new database and its role, both called `name`."""
        password_file = self.authority.secret(name)
        await provisioner.provision(
            self.spec(DatabaseSpec(name=name, role=name, password_file=password_file))
        )
        # Tests share the server: the next one's spec, which lacks this role, must not lock it out.
        await self.as_admin(f"REVOKE {provisioner.MARKER} FROM {provisioner.quote(name)}")
        return self.settings(name, name, password_file)

    def spec(self, *databases: DatabaseSpec) -> PostgresSpec:
        return PostgresSpec(
            host="localhost",
            port=self.port,
            admin_user="postgres",
            admin_password_file=self.admin_password_file,
            ca_file=self.authority.ca_file,
            databases=list(databases),
        )

    async def wait(self) -> None:
        """Until it takes connections: a first start waits until the machine's disk has all that
        anybody has written."""
        await eventually(self._answers, 240)

    async def _answers(self) -> bool:
        assert self.container.running(), self.container.logs()
        try:
            connection = await connect(self.admin, "test", connect_timeout=PATIENCE)
        except Exception as error:
            if not is_unavailable(error):
                raise
            return False
        await connection.close()
        return True

    async def as_admin(self, statement: str, database: str = "postgres") -> list[asyncpg.Record]:
        settings = self.admin.model_copy(update={"name": database})
        connection = await connect(settings, "test", connect_timeout=PATIENCE)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()


def start_postgres(
    containers: Containers,
    authority: Authority,
    *,
    name: str = "postgres",
    flushes_per_second: int | None = None,
) -> PostgresServer:
    """PostgreSQL 17 from the texts the cluster uses, with the data in a folder of the container.

    No two of a run share a `name`. It flushes nothing to the disk, unless told how often it may.
    """
    chain, key = authority.issue()
    password_file = authority.secret("postgres-admin")
    uid = POSTGRES_UID
    conf = postgres_config.postgresql_conf(
        max_connections=200,
        shared_buffers_mebibytes=64,
        flushes_per_second=flushes_per_second,
    )
    if flushes_per_second is None:
        conf += "fsync = off\n"
    files = {
        f"{postgres_config.CONFIG_PATH}/postgresql.conf": conf,
        f"{postgres_config.CONFIG_PATH}/pg_hba.conf": postgres_config.pg_hba_conf(),
        f"{postgres_config.CONFIG_PATH}/start.sh": postgres_config.start_script(),
        "/etc/passwd": postgres_config.passwd(uid),
    }
    container = containers.run(
        name,
        containers.image("postgres"),
        ["bash", f"{postgres_config.CONFIG_PATH}/start.sh"],
        uid=uid,
        ports=[postgres_config.PORT],
        files={path: File(text.encode()) for path, text in files.items()}
        | {
            postgres_config.DATA_PATH: File(None, 0o700, uid),
            postgres_config.SOCKET_PATH: File(None, 0o700, uid),
            f"{postgres_config.ADMIN_PATH}/password": File(password_file.read_bytes(), 0o600, uid),
            f"{paths.TLS}/tls.crt": File(chain),
            f"{paths.TLS}/tls.key": File(key, 0o600, uid),
        },
    )
    return PostgresServer(container, authority, password_file)


@dataclass
class RedisServer:
    container: Container
    authority: Authority
    password_file: Path
    user: str = "rest-service"

    def settings(self, user: str | None = None) -> RedisSettings:
        return RedisSettings(
            host="localhost",
            port=self.container.ports[6379],
            username=user or self.user,
            password_file=self.password_file,
            ca_file=self.authority.ca_file,
        )

    def client(self, timeout: float) -> redis_client.Redis:
        return redis_client.client(self.settings(), timeout=timeout)

    async def wait(self) -> None:
        """Until it answers."""
        client = self.client(timeout=5)

        async def answers() -> bool:
            assert self.container.running(), self.container.logs()
            try:
                return bool(await client.ping())
            except (redis_client.RedisError, OSError):
                return False

        await eventually(answers)
        await client.aclose()


def start_redis(
    containers: Containers, authority: Authority, *, name: str = "redis"
) -> RedisServer:
    """Redis as the cluster's cache: the same configuration, and rest-service's own ACL."""
    password_file = authority.secret("redis")
    user = redis_user("rest-service", "redis-cache", password_file.read_text())
    conf = redis_config.redis_conf(
        max_memory_bytes=64 * 2**20, eviction="allkeys-lru", append_fsync=None
    )
    container = run_redis(containers, authority, name, conf, [user])
    return RedisServer(container, authority, password_file)


def run_redis(
    containers: Containers,
    authority: Authority,
    name: str,
    conf: str,
    users: Sequence[str],
    more: Mapping[str, File] | None = None,
) -> Container:
    """A Redis with this configuration, these users and `more` files, its data in a folder of the
    container."""
    chain, key = authority.issue()
    operator = authority.secret("redis-operator").read_text()
    uid = REDIS_UID
    files = {
        f"{redis_config.CONFIG_PATH}/redis.conf": conf,
        f"{redis_config.CONFIG_PATH}/start.sh": redis_config.start_script(),
        f"{redis_config.ACL_PATH}/users.acl": redis_config.acl_file(
            users
            if any(user.startswith(f"user {redis_config.OPERATOR} ") for user in users)
            else [redis_config.operator_line([operator]), *users]
        ),
        f"{redis_config.OPERATOR_PATH}/password": operator,
    }
    return containers.run(
        name,
        containers.image("redis"),
        ["sh", f"{redis_config.CONFIG_PATH}/start.sh"],
        uid=uid,
        ports=[redis_config.PORT],
        files={path: File(text.encode(), 0o600, uid) for path, text in files.items()}
        | {
            redis_config.DATA_PATH: File(None, 0o700, uid),
            f"{paths.TLS}/tls.crt": File(chain),
            f"{paths.TLS}/tls.key": File(key, 0o600, uid),
            f"{paths.TLS}/ca.crt": File(authority.ca_pem),
        }
        | dict(more or {}),
    )
