"""A server gets a certificate of another CA while clients work: it takes it without a restart, and
they notice nothing as long as they trust both."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.kit import paths
from operations.rotate import presented
from services.shared.mysql import connections as mysql_client
from services.shared.postgres import database as postgres_client
from services.shared.redis import client as redis_client
from tests.integration.authority import PATIENCE, Authority, eventually
from tests.integration.containers import Container, Containers, File
from tests.integration.servers import RedisServer, start_mysql, start_postgres, start_redis

Ask = Callable[[], Awaitable[object]]


@dataclass
class Running:
    """A server and how its clients meet it."""

    container: Container
    authority: Authority
    engine: str
    port: int
    uid: int
    settings: Any
    connect: Callable[[Any], Any]
    """An asynchronous context manager: one connection, as what asks the server something over it
    and gives what tells it from all other connections."""

    def certify(self, authority: Authority, trusted: bytes) -> None:
        """Another certificate in the place of its own, with the CAs that are trusted."""
        chain, key = authority.issue()
        # Its own last: a kubelet changes all of them at once.
        for name, file in (
            ("ca.crt", File(trusted)),
            ("tls.key", File(key, 0o600, self.uid)),
            ("tls.crt", File(chain)),
        ):
            self.container.put({f"{paths.TLS}/{name}": file})

    async def presents(self, authority: Authority) -> bool:
        """What an operator sees."""
        pem = authority.ca_pem.decode()
        return await asyncio.to_thread(presented.leads, self.engine, self.port, pem)

    async def lets_in(self, ca_file: Path) -> bool:
        """Whether a client that trusts these gets an answer over a connection of its own."""
        try:
            async with self.connect(self.settings.model_copy(update={"ca_file": ca_file})) as ask:
                await ask()
        except Exception as error:
            if "CERTIFICATE_VERIFY_FAILED" not in f"{error} {error.__cause__}":
                raise
            return False
        return True


@asynccontextmanager
async def postgres_connection(settings: Any) -> AsyncIterator[Ask]:
    connection = await postgres_client.connect(settings, "test", connect_timeout=PATIENCE)
    try:
        yield lambda: connection.fetchval("SELECT pg_backend_pid()")
    finally:
        await connection.close()


@asynccontextmanager
async def mysql_connection(settings: Any) -> AsyncIterator[Ask]:
    made = await mysql_client.connect(settings, "test", connect_timeout=PATIENCE)
    with closing(made) as connection:

        async def ask() -> object:
            async with connection.cursor() as cursor:
                await cursor.execute("SELECT CONNECTION_ID() AS id")
                return (await cursor.fetchone())["id"]

        yield ask


@asynccontextmanager
async def redis_connection(settings: Any) -> AsyncIterator[Ask]:
    client = redis_client.client(settings, timeout=30, max_connections=1)
    try:
        yield client.client_id
    finally:
        await client.aclose()


async def _postgres(containers: Containers, authority: Authority) -> Running:
    server = start_postgres(containers, authority, name="postgres-certified")
    await server.wait()
    return Running(
        server.container,
        authority,
        "postgres",
        server.port,
        10003,
        server.admin,
        postgres_connection,
    )


async def _mysql(containers: Containers, authority: Authority) -> Running:
    server = start_mysql(containers, authority, name="mysql-certified")
    await server.wait()
    return Running(
        server.container, authority, "mysql", server.port, 10005, server.admin, mysql_connection
    )


async def _redis(containers: Containers, authority: Authority) -> Running:
    server = start_redis(containers, authority, name="redis-certified")
    await server.wait()
    settings = server.settings()
    return Running(
        server.container, authority, "redis", settings.port, 10004, settings, redis_connection
    )


@pytest.fixture(params=[_postgres, _mysql, _redis], ids=["postgres", "mysql", "redis"])
async def running(
    request: pytest.FixtureRequest, containers: Containers, tmp_path: Path
) -> AsyncIterator[Running]:
    made = await request.param(containers, Authority.make(tmp_path))
    yield made
    made.container.remove()


def another(folder: Path) -> Authority:
    """An authority that nobody knows yet."""
    (folder / "another").mkdir()
    return Authority.make(folder / "another")


async def test_another_certificate_is_served_without_a_restart_and_no_connection_breaks(
    running: Running, tmp_path: Path
) -> None:
    old, new = running.authority, another(tmp_path)
    bundle = tmp_path / "bundle.crt"
    bundle.write_bytes(old.ca_pem + new.ca_pem)
    both = running.settings.model_copy(update={"ca_file": bundle})
    done, begun = asyncio.Event(), asyncio.Event()

    async def keep_asking() -> int:
        async with running.connect(both) as ask:
            mine = await ask()
            for number in itertools.count(1):
                assert await ask() == mine, "it is another connection"
                async with running.connect(both) as another:
                    assert await another() != mine
                begun.set()
                if done.is_set():
                    return number
                await asyncio.sleep(0.02)
        raise AssertionError

    assert await running.lets_in(old.ca_file)
    assert not await running.lets_in(new.ca_file)
    client = asyncio.create_task(keep_asking())

    async def works() -> bool:
        if client.done():
            client.result()
        return begun.is_set()

    await eventually(works)  # the server may follow in the very next moment
    running.certify(new, bundle.read_bytes())
    await eventually(lambda: running.lets_in(new.ca_file), 120)
    assert await running.presents(new)
    assert not await running.presents(old)
    assert not await running.lets_in(old.ca_file), "what trusts the old CA alone is left behind"
    done.set()
    assert await client > 1

    bundle.write_bytes(new.ca_pem)
    assert await running.lets_in(bundle)
    running.certify(old, old.ca_pem + new.ca_pem)
    await eventually(lambda: running.lets_in(old.ca_file), 120)
    assert not await running.lets_in(bundle), "what the old CA signed is of no use any more"


async def test_a_client_that_lives_on_verifies_with_the_cas_as_they_are_when_it_connects(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """Those of the databases are asked for a connection above; this one has a pool of its own."""
    bundle = tmp_path / "bundle.crt"
    bundle.write_bytes(redis_server.authority.ca_pem)
    settings = redis_server.settings().model_copy(update={"ca_file": bundle})
    client = redis_client.client(settings, timeout=PATIENCE)
    assert await client.ping()
    bundle.write_bytes(another(tmp_path).ca_pem)
    assert await client.ping(), "a connection that is open stays"
    await client.connection_pool.disconnect()
    with pytest.raises(redis_client.RedisError, match="CERTIFICATE_VERIFY_FAILED"):
        await client.ping()
    await client.aclose()
