"""PostgreSQL and Redis as the cluster runs them: same programs, TLS, SCRAM and ACLs."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import trustme

from services.provision import postgres as provisioner
from services.provision.spec import DatabaseSpec, PostgresSpec
from services.shared import redis as redis_client
from services.shared.database import connect, is_unavailable
from services.shared.settings import DatabaseSettings, RedisSettings
from tests.integration.containers import Container, Containers, File

POSTGRES_UID, REDIS_UID = 10003, 10004


async def eventually(check: Callable[[], Awaitable[object]], seconds: float = 60) -> None:
    """Wait until `check` returns something true; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < deadline, f"not within {seconds} s: {check}"
        await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Authority:
    """A certificate authority of this test run; its certificates are for `localhost` only."""

    folder: Path
    ca: trustme.CA

    @classmethod
    def make(cls, folder: Path) -> Authority:
        authority = cls(folder, trustme.CA())
        authority.ca.cert_pem.write_to_path(authority.ca_file)
        return authority

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def ca_pem(self) -> bytes:
        return self.ca.cert_pem.bytes()

    def issue(self, *names: str) -> tuple[bytes, bytes]:
        """A certificate chain and its private key, both PEM; for `localhost` unless named."""
        leaf = self.ca.issue_cert(*(names or ("localhost",)))
        return b"".join(pem.bytes() for pem in leaf.cert_chain_pems), leaf.private_key_pem.bytes()

    def secret(self, name: str) -> Path:
        """A file with a new password, as a mounted Secret would be."""
        path = self.folder / f"{name}-{secrets.token_hex(4)}"
        path.write_text(secrets.token_urlsafe(24))
        return path


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
        """Until it takes connections."""
        await eventually(self._answers)

    async def _answers(self) -> bool:
        assert self.container.running(), self.container.logs()
        try:
            connection = await connect(self.admin, "test")
        except Exception as error:
            if not is_unavailable(error):
                raise
            return False
        await connection.close()
        return True

    async def as_admin(self, statement: str, database: str = "postgres") -> list[asyncpg.Record]:
        settings = self.admin.model_copy(update={"name": database})
        connection = await connect(settings, "test")
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()


def start_postgres(containers: Containers, authority: Authority) -> PostgresServer:
    """PostgreSQL 17: TLS only, SCRAM only, data in the container's own layer."""
    chain, key = authority.issue()
    password_file = authority.secret("postgres-admin")
    script = """
        data=/srv/postgres/data
        test -s $data/PG_VERSION || initdb --pgdata=$data --username=postgres --no-sync \\
            --pwfile=/srv/postgres/password --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
        exec postgres -D $data -c config_file=/srv/postgres/postgresql.conf
    """
    config = b"""
listen_addresses = '*'
unix_socket_directories = '/tmp'
max_connections = 200
shared_buffers = 64MB
fsync = off
ssl = on
ssl_cert_file = '/srv/postgres/tls.crt'
ssl_key_file = '/srv/postgres/tls.key'
ssl_min_protocol_version = 'TLSv1.3'
password_encryption = 'scram-sha-256'
hba_file = '/srv/postgres/pg_hba.conf'
timezone = 'UTC'
log_line_prefix = '%m [%p] db=%d app=%a '
"""
    uid = POSTGRES_UID
    container = containers.run(
        "postgres",
        containers.image("postgres"),
        ["/bin/sh", "-ec", script],
        uid=uid,
        ports=[5432],
        files={
            "/etc/passwd": File(
                b"root:x:0:0::/root:/bin/sh\npostgres:x:%d:%d::/tmp:/bin/sh\n" % (uid, uid)
            ),
            "/srv/postgres": File(None, 0o700, uid),
            "/srv/postgres/postgresql.conf": File(config),
            "/srv/postgres/pg_hba.conf": File(
                b"local all all scram-sha-256\nhostssl all all all scram-sha-256\n"
            ),
            "/srv/postgres/password": File(password_file.read_bytes(), 0o600, uid),
            "/srv/postgres/tls.crt": File(chain, 0o644, uid),
            "/srv/postgres/tls.key": File(key, 0o600, uid),
        },
        environment={
            "PATH": "/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/bin:/bin"
        },
    )
    return PostgresServer(container, authority, password_file)


@dataclass
class RedisServer:
    container: Container
    authority: Authority
    password_file: Path

    def settings(self, user: str = "rest-service") -> RedisSettings:
        return RedisSettings(
            host="localhost",
            port=self.container.ports[6379],
            username=user,
            password_file=self.password_file,
            ca_file=self.authority.ca_file,
        )

    async def wait(self) -> None:
        """Until it answers."""
        client = redis_client.client(self.settings(), timeout=5)

        async def answers() -> bool:
            assert self.container.running(), self.container.logs()
            try:
                return bool(await client.ping())
            except (redis_client.RedisError, OSError):
                return False

        await eventually(answers)
        await client.aclose()


def start_redis(containers: Containers, authority: Authority) -> RedisServer:
    """Redis as the cache: TLS only, no default user, one ACL user with its own keys."""
    chain, key = authority.issue()
    password_file = authority.secret("redis")
    digest = hashlib.sha256(password_file.read_bytes()).hexdigest()
    config = f"""
port 0
tls-port 6379
tls-cert-file /srv/redis/tls.crt
tls-key-file /srv/redis/tls.key
tls-ca-cert-file /srv/redis/ca.crt
tls-auth-clients no
tls-protocols "TLSv1.2 TLSv1.3"
save ""
appendonly no
maxmemory 64mb
maxmemory-policy allkeys-lru
dir /tmp
user default off
user rest-service on #{digest} resetchannels ~resource:* -@all +@read +@write +@connection \
+@scripting +@transaction
"""
    uid = REDIS_UID
    container = containers.run(
        "redis",
        containers.image("redis"),
        ["redis-server", "/srv/redis/redis.conf"],
        uid=uid,
        ports=[6379],
        files={
            "/srv/redis/redis.conf": File(config.encode(), 0o600, uid),
            "/srv/redis/tls.crt": File(chain),
            "/srv/redis/tls.key": File(key, 0o600, uid),
            "/srv/redis/ca.crt": File(authority.ca_pem),
        },
    )
    return RedisServer(container, authority, password_file)
