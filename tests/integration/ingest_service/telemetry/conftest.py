"""The ingest service with Kafka and the telemetry database, and nothing that documents need."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.contracts.telemetry import TelemetryPoint
from services.contracts.topics import TELEMETRY_POINTS
from services.ingest_service.settings import IngestSettings
from services.ingest_service.telemetry import sending as sender
from services.ingest_service.telemetry import wiring
from services.ingest_service.telemetry.endpoints import PATH
from services.ingest_service.telemetry.settings import (
    PointSettings,
    ReadersSettings,
    TelemetrySettings,
)
from services.ingest_service.telemetry.wiring import TelemetryMeans
from services.ingest_service.wiring import Means, application
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.provision.mysql import provision
from services.shared.http.health import Readiness
from services.shared.limits.settings import RateLimitSettings
from services.shared.limits.wiring import LimitMeans
from services.shared.mysql.database import Database
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import (
    BreakerSettings,
    DatabaseSettings,
    KafkaSettings,
    RedisSettings,
    ServiceSettings,
)
from services.shared.stream.settings import StreamSettings
from tests.harness.issuer import Issuer
from tests.integration.authority import PATIENCE, Authority, eventually
from tests.integration.ingest_service import nowhere
from tests.integration.ingest_service.conftest import has_keys
from tests.integration.kafka_container import INGEST, KafkaServer, Reader
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import MySQLServer

LINES = {"content-type": "application/x-ndjson"}


def point(n: int = 0, **changes: Any) -> dict[str, Any]:
    """As a client sends one; `n` tells them apart."""
    ts = datetime.fromtimestamp(1_700_000_000 + n, UTC)
    good = {
        "device_id": f"device-{n % 10}",
        "metric": "flow",
        "ts": ts.isoformat(),
        "value": float(n),
    }
    return {**good, **changes}


def key(given: dict[str, Any]) -> tuple[str, str, datetime]:
    """What makes a point the one that it is."""
    return given["device_id"], given["metric"], datetime.fromisoformat(given["ts"])


@dataclass
class Telemetry:
    """One application, as one pod has it, and an HTTP client for it."""

    http: httpx.AsyncClient
    registry: CollectorRegistry

    async def send(self, *points: dict[str, Any]) -> httpx.Response:
        return await self.http.post(PATH, json={"points": points})

    async def accepts(self, n: int = 0) -> bool:
        return (await self.send(point(n))).status_code == 202

    async def page(self, path: str = PATH, **query: Any) -> dict[str, Any]:
        response = await self.http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@dataclass
class Databases:
    """Two of one server stand for the source and its copies: what is in one is not in the other."""

    server: MySQLServer
    source: DatabaseSettings
    copies: DatabaseSettings

    async def fill(self, database: DatabaseSettings, table: str, *rows: tuple[Any, ...]) -> None:
        for row in rows:
            values = ", ".join(repr(value) for value in row)
            await self.server.as_admin(f"INSERT INTO {table} VALUES ({values})", database.name)


async def _made(server: MySQLServer, name: str) -> DatabaseSettings:
    made = server.database(name)
    await provision(server.spec(made))
    # Tests share the server: the next one's spec, which lacks these, must not lock them out.
    for account in (made.user, made.owner):
        await server.as_admin(f"ALTER USER '{account.name}'@'%' ATTRIBUTE '{{\"millrace\": null}}'")
    owner = server.settings(made.name, made.owner.name, made.owner.password_file)
    await migrate(made.name, "async_writer", owner, ENGINES["mysql"])
    return server.settings(made.name, made.user.name, made.user.password_file)


@pytest.fixture(scope="session")
async def _databases(mysql: MySQLServer) -> Databases:
    source, copies = [await _made(mysql, f"points_{name}") for name in ("source", "copies")]
    return Databases(mysql, source, copies)


@pytest.fixture
async def databases(_databases: Databases) -> AsyncIterator[Databases]:
    """Empty; the server is healthy again afterwards."""
    for settings in (_databases.source, _databases.copies):
        for table in ("telemetry", "telemetry_rollups"):
            await _databases.server.as_admin(f"TRUNCATE {table}", settings.name)
    yield _databases
    _databases.server.container.unpause()
    await _databases.server.wait()


MakeTelemetry = Callable[..., Awaitable[Telemetry]]


@pytest.fixture
async def make_telemetry(authority: Authority, issuer: Issuer) -> AsyncIterator[MakeTelemetry]:
    """`await make_telemetry(kafka=…, source=…, copies=…, seconds=4)`: what is not given is away."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(
            *,
            kafka: KafkaSettings | None = None,
            source: DatabaseSettings | None = None,
            copies: DatabaseSettings | None = None,
            **points: Any,
        ) -> Telemetry:
            away = nowhere.telemetry(authority)
            means = Means(
                ServiceSettings(service_name="ingest-service"),
                IngestSettings(),
                DatabaseSettings(**nowhere.database(authority)),
                StreamSettings(**nowhere.redis(authority)),
                RedisSettings(**nowhere.redis(authority)),
                issuer.settings,
                LimitMeans(RateLimitSettings(), BreakerSettings()),
                TelemetryMeans(
                    PointSettings(**points),
                    kafka or away.kafka,
                    TelemetrySettings(**source.model_dump()) if source else away.source,
                    ReadersSettings(**copies.model_dump()) if copies else away.readers,
                ),
            )
            registry = new_registry()
            app = await stack.enter_async_context(application(means, Readiness(registry), registry))
            http = await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app=app),
                    base_url="http://ingest",
                    headers=issuer.headers(),
                    timeout=60,
                )
            )
            await eventually(lambda: has_keys(registry))
            return Telemetry(http, registry)

        yield make


MakeProcess = Callable[..., Awaitable[ServiceProcess]]


@pytest.fixture
async def make_process(
    kafka_server: KafkaServer, authority: Authority, issuer: Issuer, tmp_path: Path
) -> AsyncIterator[MakeProcess]:
    """`await make_process(INGEST_POINTS_MOST=7)`: a process of its own that has Kafka, and the
    databases if they are given."""
    made: list[ServiceProcess] = []

    async def make(databases: Databases | None = None, **more: Any) -> ServiceProcess:
        means = replace(nowhere.telemetry(authority), kafka=kafka_server.settings(INGEST))
        if databases is not None:
            source, copies = databases.source.model_dump(), databases.copies.model_dump()
            means = replace(
                means, source=TelemetrySettings(**source), readers=ReadersSettings(**copies)
            )
        variables = environment(
            "ingest-service", DatabaseSettings(**nowhere.database(authority)), **more
        )
        for prefix in ("REDIS", "REDIS_STREAM"):
            variables |= {
                f"{prefix}_{name}".upper(): str(value)
                for name, value in nowhere.redis(authority).items()
            }
        variables = nowhere.variables(means) | variables | issuer.variables
        log = tmp_path / f"log-{len(made)}"
        started = ServiceProcess("services.ingest_service", variables, log)
        started.headers = issuer.headers()
        made.append(started)

        async def lets_in() -> bool:
            assert started.running(), started.log.read_text()[-3000:]
            return await started.metric("auth_keys") > 0

        await eventually(lets_in)
        return started

    yield make
    for process in made:
        await asyncio.to_thread(process.kill)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what is answered, and not of when somebody is given up: a busy machine may take
    longer for TLS and a login, or for a look at Kafka, than the service waits for them."""
    waits = {f"{what}_timeout": PATIENCE for what in ("connect", "acquire", "command")}
    monkeypatch.setattr(wiring, "Database", functools.partial(Database, **waits))
    monkeypatch.setattr(sender, "LOOK_SECONDS", float(PATIENCE))


@pytest.fixture
async def sending(
    patient: None, make_telemetry: MakeTelemetry, kafka_server: KafkaServer
) -> Telemetry:
    """One that has Kafka, and time."""
    return await make_telemetry(kafka=kafka_server.settings(INGEST), seconds=60)


@pytest.fixture
async def reading(patient: None, make_telemetry: MakeTelemetry, databases: Databases) -> Telemetry:
    """One that has the database, and time."""
    return await make_telemetry(source=databases.source, copies=databases.copies)


@pytest.fixture
def reader(kafka_server: KafkaServer) -> Iterator[Reader]:
    """What comes into the topic from now on."""
    reader = kafka_server.reader([TELEMETRY_POINTS])
    yield reader
    reader.close()


def found(reader: Reader) -> list[TelemetryPoint]:
    """What it has read, each as the contract has it, with its key."""
    points: list[TelemetryPoint] = []
    for message in reader.messages:
        value = message.value()
        assert isinstance(value, bytes)
        assert json.loads(value).keys() == TelemetryPoint.model_fields.keys()
        made = TelemetryPoint.model_validate_json(value)
        assert message.key() == made.device_id.encode()
        points.append(made)
    return points


def keys(reader: Reader) -> set[tuple[str, str, datetime]]:
    return {(one.device_id, one.metric, one.ts) for one in found(reader)}
