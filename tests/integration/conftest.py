"""Servers for a whole run, and a database for each test."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from infra.model.records import RECORDS
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.shared.runtime import logging
from services.shared.runtime.settings import DatabaseSettings, RedisSettings
from tests.harness.issuer import Issuer
from tests.integration.clock import clear_of_midnight
from tests.integration.containers import Containers
from tests.integration.kafka_container import kafka, kafka_server
from tests.integration.proxysql_container import VARIABLE, given_image
from tests.integration.servers import (
    Authority,
    MySQLServer,
    PostgresServer,
    RedisServer,
    start_mysql,
    start_postgres,
    start_redis,
)

__all__ = ["kafka", "kafka_server"]

MakeDatabase = Callable[[str], Awaitable[DatabaseSettings]]

_numbers = itertools.count(1)

LONGEST = (
    *("test_a_new_service", "test_docker_build", "test_restores", "test_interruptions"),
    *("test_program", "test_kafka_nodes", "test_refusals", "test_archives", "test_faults"),
    *("test_group", "test_followed"),
)
"""Files that take minutes. They begin first: of those that run side by side the last one to end is
what people wait for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if given_image() is None:
        terminalreporter.write_sep("!", "ProxySQL was not tested", yellow=True, bold=True)
        terminalreporter.write_line(
            f"{VARIABLE} names no image of it, and it is in no package registry: its rules were"
            " read off (tests/unit/components), the real one was asked nothing"
        )


@pytest.fixture(scope="session", autouse=True)
def _json_logs() -> None:
    logging.configure("tests", "WARNING")


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    """Whose tokens the services under test take."""
    with Issuer() as running:
        yield running


@pytest.fixture(scope="session")
def containers() -> Iterator[Containers]:
    made = Containers()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
async def postgres(containers: Containers, authority: Authority) -> PostgresServer:
    server = start_postgres(containers, authority)
    await server.wait()
    return server


@pytest.fixture(scope="session")
async def mysql(containers: Containers, authority: Authority) -> MySQLServer:
    server = start_mysql(containers, authority)
    await server.wait()
    return server


@pytest.fixture(scope="session")
async def redis_server(containers: Containers, authority: Authority) -> RedisServer:
    server = start_redis(containers, authority)
    await server.wait()
    return server


@pytest.fixture
async def no_midnight() -> None:
    """For tests that compare what is made for days: none ends (UTC) while they run. Among a test's
    fixtures it has to come before those that make something: `usefixtures` does."""
    await clear_of_midnight()


@pytest.fixture
async def make_database(postgres: PostgresServer) -> AsyncIterator[MakeDatabase]:
    """`await make_database("restdb")`: a new, migrated database of that kind, and its role."""
    made: list[str] = []

    async def make(kind: str) -> DatabaseSettings:
        settings = await postgres.provision(f"{kind}_{next(_numbers)}")
        made.append(settings.name)
        await migrate(kind, RECORDS.owner(kind), settings, ENGINES["postgres"])
        return settings

    yield make
    await postgres.wait()
    for name in made:
        # Hundreds of databases would take the engine long to delete with their container.
        await postgres.as_admin(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def restdb(make_database: MakeDatabase) -> DatabaseSettings:
    return await make_database("restdb")


@pytest.fixture
def redis_settings(redis_server: RedisServer) -> RedisSettings:
    return redis_server.settings()


@pytest.fixture
async def healthy_postgres(postgres: PostgresServer) -> AsyncIterator[PostgresServer]:
    """For tests that stop the server: it runs again afterwards, whatever they did."""
    yield postgres
    postgres.container.unpause()
    postgres.container.start()
    await postgres.wait()


@pytest.fixture
async def healthy_redis(redis_server: RedisServer) -> AsyncIterator[RedisServer]:
    """For tests that stop the server: it runs again afterwards, whatever they did."""
    yield redis_server
    redis_server.container.unpause()
    redis_server.container.start()
    await redis_server.wait()
