"""The REST service on real servers: inside the test's process, or as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.rest_service.app import create_app
from services.rest_service.cache import VersionedCache
from services.rest_service.documents.service import DocumentService
from services.rest_service.documents.store import DocumentStore
from services.rest_service.repository import ResourceRepository
from services.rest_service.service import ResourceService
from services.shared.auth.wiring import guarded
from services.shared.http.health import Readiness
from services.shared.outbox.events import Outbox
from services.shared.postgres.database import Database, DatabaseUnavailableError, connect
from services.shared.redis import client as redis_client
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, RedisSettings
from tests.harness.issuer import Issuer
from tests.integration.authority import PATIENCE
from tests.integration.conftest import MakeDatabase
from tests.integration.ports import free_port
from tests.integration.servers import PostgresServer, eventually

PATH = "/api/v1/resources"
PATIENT: Any = {"connect_timeout": PATIENCE, "acquire_timeout": 30.0, "command_timeout": 30.0}
"""For pools of which a test expects an answer: that a busy machine takes long is no outage."""


@dataclass
class Rest:
    """The application, an HTTP client for it, and a look into its database."""

    http: httpx.AsyncClient
    registry: CollectorRegistry
    cache: VersionedCache
    database: DatabaseSettings
    data_store: DatabaseSettings
    readiness: Readiness
    headers: dict[str, str] = field(default_factory=dict)

    async def create(self, **fields: Any) -> dict[str, Any]:
        response = await self.http.post(PATH, json={"name": "a resource", **fields})
        assert response.status_code == 201, response.text
        return response.json()

    async def rows(self, query: str, *args: object) -> list[asyncpg.Record]:
        connection = await connect(self.database, "test", connect_timeout=PATIENCE)
        try:
            return await connection.fetch(query, *args)
        finally:
            await connection.close()

    async def events(self, resource_id: str) -> list[asyncpg.Record]:
        return await self.rows(
            "SELECT *, payload::text AS body FROM outbox_events WHERE aggregate_id = $1"
            " ORDER BY seq",
            resource_id,
        )

    async def store(self, documents: Any, **headers: str) -> list[str]:
        response = await self.http.post("/data", json=documents, headers=headers)
        assert response.status_code == 201, response.text
        return response.json()["ids"]

    async def document(self, document_id: str) -> Any:
        response = await self.http.get(f"/data/{quote(document_id, safe='')}")
        assert response.status_code == 200, response.text
        return response.json()

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def datadb(make_database: MakeDatabase) -> DatabaseSettings:
    return await make_database("datadb")


@pytest.fixture
def database_patience() -> Any:
    """The pools' time-outs; a test that waits for them names others."""
    return PATIENT


@pytest.fixture
def redis_seconds() -> float:
    """Longer than Redis takes on a busy machine: tests count hits and errors. Those that freeze it
    wait as long, and name less (`frozen_redis`)."""
    return 10.0


frozen_redis = pytest.mark.parametrize("redis_seconds", [5.0])


@pytest.fixture
async def rest(
    restdb: DatabaseSettings,
    datadb: DatabaseSettings,
    redis_settings: RedisSettings,
    issuer: Issuer,
    database_patience: Any,
    redis_seconds: float,
) -> AsyncIterator[Rest]:
    registry = new_registry()
    pool: Any = {"application_name": "rest-service", **database_patience}
    database = Database(restdb, registry, **pool)
    await database.open()
    data_store = Database(datadb, registry, **pool)
    await data_store.open()
    cache = VersionedCache(
        redis_client.client(redis_settings, timeout=redis_seconds),
        registry,
        timeout=redis_seconds,
        probe_interval=0.1,
    )
    readiness = Readiness(registry)
    readiness.add("database", database.ping)
    outbox = Outbox(database)
    resources = ResourceService(ResourceRepository(database, outbox), cache)
    documents = DocumentService(DocumentStore(data_store), cache)
    async with guarded(issuer.settings, registry) as guard:
        app = create_app("rest-service", resources, documents, readiness, registry, guard=guard)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://rest", headers=issuer.headers(), timeout=30
        ) as client:
            yield Rest(client, registry, cache, restdb, datadb, readiness)
    await outbox.close()
    await cache.close()
    await data_store.close()
    await database.close()


@dataclass
class Process:
    """`python -m services.rest_service`, reached over TCP."""

    handle: subprocess.Popen[bytes]
    port: int
    http: httpx.AsyncClient
    log: Path

    async def status(self, path: str) -> int | None:
        """The status code; None when nothing listens."""
        try:
            return (await self.http.get(path)).status_code
        except httpx.TransportError:
            return None

    async def terminate(self) -> None:
        self.handle.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        return await asyncio.to_thread(self.handle.wait, 60)


@pytest.fixture
async def process(
    restdb: DatabaseSettings,
    datadb: DatabaseSettings,
    redis_settings: RedisSettings,
    issuer: Issuer,
    tmp_path: Path,
) -> AsyncIterator[Process]:
    port, log = free_port(), tmp_path / "log"
    environment = {
        "PATH": os.environ["PATH"],
        "SERVICE_NAME": "rest-service",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(port),
        "DRAIN_SECONDS": "10",  # long enough for a test on a busy machine to see it
        **issuer.variables,
        **_environment("DATABASE", restdb.model_dump(exclude_none=True)),
        **_environment("DATA_STORE", datadb.model_dump(exclude_none=True)),
        **_environment("REDIS", redis_settings.model_dump(exclude_none=True)),
    }
    with log.open("wb") as output:
        handle = subprocess.Popen(
            [sys.executable, "-m", "services.rest_service"],
            env=environment,
            stdout=output,
            stderr=output,
        )
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=issuer.headers(), timeout=30
    ) as client:
        started = Process(handle, port, client, log)

        async def healthy() -> bool:
            assert handle.poll() is None, log.read_text()
            return await started.status("/health") == 200

        try:
            await eventually(healthy)
            yield started
        finally:
            handle.kill()
            handle.wait()


class LossyDatabase(Database):
    """The connection breaks after every commit, before its answer."""

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        await super().fetchrow(query, *args)
        raise DatabaseUnavailableError("connection lost")

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        await super().fetch(query, *args)
        raise DatabaseUnavailableError("connection lost")


async def waiting(postgres: PostgresServer, database: DatabaseSettings) -> bool:
    """Whether a statement on the database waits for a lock."""
    return bool(
        await postgres.as_admin(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            f" AND datname = '{database.name}'"
        )
    )


def _environment(prefix: str, values: dict[str, Any]) -> dict[str, str]:
    return {f"{prefix}_{key.upper()}": str(value) for key, value in values.items()}
