"""The ingest service on real servers: inside the test's process, or as processes of its own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from infra.model.records import RECORDS
from services.ingest_service import admission, reading, wiring
from services.ingest_service import cache as cache_module
from services.ingest_service.gathering import Gatherer
from services.ingest_service.settings import IngestSettings
from services.ingest_service.wiring import Means, application
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.shared.http.health import Readiness
from services.shared.limits.settings import RateLimitSettings
from services.shared.limits.wiring import LimitMeans
from services.shared.postgres.database import Database
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import BreakerSettings, DatabaseSettings, ServiceSettings
from tests.harness.issuer import Issuer
from tests.integration.authority import PATIENCE
from tests.integration.containers import Containers
from tests.integration.ingest_service import nowhere
from tests.integration.ingest_service.stream_server import (
    MAX_MEMORY,
    IngestRedis,
    start_documents_cache,
    start_stream,
)
from tests.integration.processes import ServiceProcess, environment
from tests.integration.redis_users import TESTER
from tests.integration.servers import Authority, PostgresServer, eventually

PATH = "/api/data"
CACHE = ("CACHE_TIMEOUT", "_PATIENCE")
STREAM = ("ACCEPT_TIMEOUT", "READ_TIMEOUT", "WATCH_TIMEOUT", "STALE_SECONDS")
DEADLINES: Mapping[tuple[ModuleType, str], float] = {
    (module, name): getattr(module, name)
    for module, names in (
        (wiring, ("CACHE_TIMEOUT", "ACCEPT_TIMEOUT", "READ_TIMEOUT", "WATCH_TIMEOUT")),
        (cache_module, ("_PATIENCE",)),
        (reading, ("PATIENCE",)),
        (admission, ("STALE_SECONDS",)),
    )
    for name in names
}
"""For how long a pod waits for its servers. On a busy machine they may take longer; then it says
503, or asks the database instead of the cache: right, but not what is asked of it here, or counted.
A server that is gone is known at once; tests of one that stands still name what they wait for."""
PATIENT: Any = {
    "connect_timeout": PATIENCE,
    "acquire_timeout": PATIENCE,
    "command_timeout": PATIENCE,
}


def as_in_the_cluster(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """For these deadlines, and the applications that are made from now on."""
    for (module, name), seconds in DEADLINES.items():
        if name in names:
            monkeypatch.setattr(module, name, seconds)


@pytest.fixture(scope="session")
async def stream_server(containers: Containers, authority: Authority) -> IngestRedis:
    server = start_stream(containers, authority)
    await server.wait()
    return server


@pytest.fixture(scope="session")
async def cache_server(containers: Containers, authority: Authority) -> IngestRedis:
    server = start_documents_cache(containers, authority)
    await server.wait()
    return server


@pytest.fixture(scope="session")
async def _datadb(postgres: PostgresServer) -> DatabaseSettings:
    settings = await postgres.provision("datadb_of_ingest")
    await migrate("datadb", RECORDS.owner("datadb"), settings, ENGINES["postgres"])
    return settings


@pytest.fixture
async def datadb(postgres: PostgresServer, _datadb: DatabaseSettings) -> DatabaseSettings:
    await postgres.as_admin("TRUNCATE documents", _datadb.name)
    return _datadb


@pytest.fixture
async def cache(cache_server: IngestRedis) -> AsyncIterator[Redis]:
    """A look into the shared cache, which is empty."""
    client = cache_server.tester()
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def stream(stream_server: IngestRedis) -> AsyncIterator[Redis]:
    """A look into the stream's server, which is empty, and is healthy again afterwards."""
    client = stream_server.tester()
    await client.flushall()
    yield client
    stream_server.container.unpause()
    stream_server.container.start()
    await stream_server.wait()
    await client.config_set("maxmemory", MAX_MEMORY)
    await client.aclose()


@dataclass
class Ingest:
    """One application, as one pod has it, and an HTTP client for it."""

    http: httpx.AsyncClient
    registry: CollectorRegistry
    app: Any

    async def accept(self, body: Any, **headers: str) -> list[str]:
        response = await self.http.post(PATH, json=body, headers=headers)
        assert response.status_code == 202, response.text
        return response.json()["ids"]

    async def get(self, document_id: str) -> Any:
        """The document; None when there is none."""
        response = await self.http.get(f"{PATH}/{document_id}")
        if response.status_code == 404:
            return None
        assert response.status_code == 200, response.text
        return response.json()

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def reads(self) -> dict[str, float]:
        sources = ("pending", "local", "shared", "database", "none")
        return {s: n for s in sources if (n := self.metric("ingest_reads_total", source=s))}


MakeIngest = Callable[..., Awaitable[Ingest]]


@pytest.fixture
async def make_ingest(
    datadb: DatabaseSettings,
    stream: Redis,
    cache: Redis,
    stream_server: IngestRedis,
    cache_server: IngestRedis,
    issuer: Issuer,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[MakeIngest]:
    """`await make_ingest(max_documents=3)`: an application that lets documents in."""
    for module, name in DEADLINES:
        monkeypatch.setattr(module, name, float(PATIENCE))
    monkeypatch.setattr(wiring, "Gatherer", functools.partial(Gatherer, patience=PATIENCE))
    monkeypatch.setattr(wiring, "Database", functools.partial(Database, **PATIENT))
    async with contextlib.AsyncExitStack() as stack:

        async def make(**settings: Any) -> Ingest:
            means = Means(
                ServiceSettings(service_name="ingest-service"),
                IngestSettings.model_validate(settings),
                datadb,
                stream_server.stream_settings(),
                cache_server.settings(),
                issuer.settings,
                LimitMeans(RateLimitSettings(), BreakerSettings()),
                nowhere.telemetry(authority),
            )
            registry = new_registry()
            readiness = Readiness(registry)
            app = await stack.enter_async_context(application(means, readiness, registry))
            http = await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app=app),
                    base_url="http://ingest",
                    headers=issuer.headers(),
                    timeout=30,
                )
            )
            made = Ingest(http, registry, app)
            await eventually(lambda: is_ready(made))
            await eventually(lambda: has_keys(registry))
            return made

        yield make


@pytest.fixture
async def ingest(make_ingest: MakeIngest) -> Ingest:
    return await make_ingest()


async def is_ready(ingest: Ingest) -> bool:
    return (await ingest.http.get("/ready")).status_code == 200


async def has_keys(registry: CollectorRegistry) -> bool:
    """Whether tokens can be verified. Readiness does not wait for that, and who comes earlier is
    answered 503."""
    return bool(registry.get_sample_value("auth_keys"))


MakeProcess = Callable[..., Awaitable[ServiceProcess]]


@pytest.fixture
async def make_process(
    datadb: DatabaseSettings,
    stream: Redis,
    cache: Redis,
    stream_server: IngestRedis,
    cache_server: IngestRedis,
    issuer: Issuer,
    authority: Authority,
    tmp_path: Path,
) -> AsyncIterator[MakeProcess]:
    """`await make_process()`: a process of its own that lets documents in.

    `await make_process("stream_writer", WRITER_ID="w")`: one that takes them to the database.
    """
    made: list[ServiceProcess] = []

    async def make(package: str = "ingest_service", **more: str) -> ServiceProcess:
        variables = environment(package, datadb) | issuer.variables
        variables |= cache_server.variables("REDIS")
        variables |= stream_server.variables("REDIS_STREAM")
        variables |= nowhere.variables(nowhere.telemetry(authority))
        if package != "ingest_service":
            variables["REDIS_STREAM_USERNAME"] = TESTER  # another service's user is not made here
            variables["WRITER_COPIES_STAY_SECONDS"] = "0"
        log = tmp_path / f"log-{len(made)}"
        started = ServiceProcess(f"services.{package}", variables | more, log)
        started.headers = issuer.headers()
        made.append(started)
        await eventually(started.ready)
        if package == "ingest_service":
            await eventually(lambda: started.metric("auth_keys"))
        return started

    yield make
    for process in made:
        await asyncio.to_thread(process.kill)
