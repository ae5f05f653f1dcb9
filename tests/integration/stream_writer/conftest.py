"""Writers as processes, each test with a database and an empty stream of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from infra.model.records import RECORDS
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.shared.redis.client import client
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.containers import Containers
from tests.integration.processes import ServiceProcess, environment
from tests.integration.redis_users import TESTER, kept, redis_user, tester
from tests.integration.servers import Authority, PostgresServer, RedisServer, run_redis
from tests.integration.stream_writer.inlet import Documents, Inlet

StartWriter = Callable[..., ServiceProcess]
USER = "stream-writer"

_numbers = itertools.count(1)

NOBODY_DIED = {"WRITER_CLAIM_AFTER_SECONDS": 3600}
"""For tests that count deliveries, commits or lines: a process that gets no time for a second would
otherwise take its own entries for those of a reader that is gone, and write them once more."""


@pytest.fixture(scope="session")
async def stream_server(containers: Containers, authority: Authority) -> RedisServer:
    password_file = authority.secret("redis-stream")
    password = password_file.read_text()
    users = [redis_user(USER, "redis-stream", password), tester(password)]
    container = run_redis(containers, authority, "redis-stream", kept(128 * 2**20), users)
    server = RedisServer(container, authority, password_file, TESTER)
    await server.wait()
    return server


@pytest.fixture
async def inlet(stream_server: RedisServer) -> AsyncIterator[Inlet]:
    stream_server.container.unpause()
    stream_server.container.start()
    await stream_server.wait()
    redis = client(stream_server.settings(), timeout=PATIENCE)  # each entry waits for the disk
    await redis.flushall()
    yield Inlet(redis)
    await redis.aclose()


@pytest.fixture
async def datadb(postgres: PostgresServer) -> AsyncIterator[DatabaseSettings]:
    postgres.container.start()
    await postgres.wait()
    settings = await postgres.provision(f"datadb_{next(_numbers)}")
    await migrate("datadb", RECORDS.owner("datadb"), settings, ENGINES["postgres"])
    yield settings
    postgres.container.start()
    await postgres.wait()
    await postgres.as_admin(f"DROP DATABASE {settings.name} WITH (FORCE)")


@pytest.fixture
async def documents(datadb: DatabaseSettings) -> AsyncIterator[Documents]:
    made = Documents(datadb)
    yield made
    await made.close()


@pytest.fixture
def variables(stream_server: RedisServer, datadb: DatabaseSettings) -> dict[str, str]:
    """The environment of a writer, but for its name."""
    redis = stream_server.settings(USER)
    return environment(
        USER,
        datadb,
        REDIS_STREAM_HOST=redis.host,
        REDIS_STREAM_PORT=redis.port,
        REDIS_STREAM_USERNAME=redis.username,
        REDIS_STREAM_PASSWORD_FILE=redis.password_file,
        REDIS_STREAM_CA_FILE=redis.ca_file,
    )


@pytest.fixture
def start_writer(variables: dict[str, str], inlet: Inlet, tmp_path: Path) -> Iterator[StartWriter]:
    """`start_writer(name, WRITER_…=…)`: a writer that soon takes over from those that are gone."""
    assert inlet  # the stream is empty before the first one starts
    started: list[ServiceProcess] = []
    numbers = itertools.count(1)

    def start(name: str = "writer", **more: object) -> ServiceProcess:
        settings = {
            "WRITER_ID": name,
            "WRITER_CLAIM_AFTER_SECONDS": 1,
            "WRITER_WATCH_INTERVAL_SECONDS": 0.2,
            "WRITER_COPIES_STAY_SECONDS": 0,
        } | more
        process = ServiceProcess(
            "services.stream_writer",
            variables | {key: str(value) for key, value in settings.items()},
            tmp_path / f"{name}-{next(numbers)}.log",
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
