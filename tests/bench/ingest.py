"""Documents acknowledged per second: through the stream, and by INSERT into PostgreSQL directly.

One process of the service on one core; on the other the client, and Redis or PostgreSQL. Redis with
`appendfsync always` on this machine's disk; PostgreSQL waits 10 ms before each flush of its log, as
a disk with a hundred flushes a second would make it. The stream is emptied between runs: nobody
takes documents out of it meanwhile. Closed loop: every connection sends its next request after the
answer to the one before.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from infra.model.records import RECORDS
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.shared.runtime.settings import DatabaseSettings
from tests.bench.client import CLIENT_CORE, SERVER_CORE, Figures, measured
from tests.bench.machine import Report
from tests.integration.containers import Containers
from tests.integration.ingest_service import nowhere
from tests.integration.ingest_service.stream_server import start_documents_cache, start_stream
from tests.integration.ports import free_port
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import Authority, eventually, start_postgres

PATH = "/api/data"
DOCUMENT = '{"name": "sensor", "number": 42, "text": "%s"}'
DOCUMENT %= "x" * (256 - len(DOCUMENT) + 2)
BATCH = "[" + ",".join([DOCUMENT] * 100) + "]"
RUNS = (("single", DOCUMENT, 1, (64, 256, 512)), ("batches of 100", BATCH, 100, (8, 32)))
NAMES = 1000
FLUSHES = 100


Empty = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class _Side:
    """What is measured: a process behind an address."""

    name: str
    url: str
    pid: int
    folder: Path
    report: Report
    seconds: int

    async def measure(self, empty: Empty) -> None:
        """Documents in; nothing is there before, for `empty` sees to it."""
        for what, body, documents, all_connections in RUNS:
            for connections in all_connections:
                found, each = await self._run(empty, connections=connections, body=body)
                figures = found.shown()
                rate = figures.pop("per_second")
                self.report.add(
                    f"{self.name}, {what}, {connections} connections",
                    documents_per_second=round(rate * documents, 1),
                    **figures,
                    processor_us_each=round(each / documents, 1),
                )

    async def reads(self) -> None:
        """By id, on their way to the database; the rival is the acceptance itself."""

        async def fill() -> None:
            async with httpx.AsyncClient(timeout=30) as http:
                for first in range(1, NAMES + 1, 100):
                    batch = [{"id": f"{n}", "text": "x" * 200} for n in range(first, first + 100)]
                    (await http.post(self.url, json=batch)).raise_for_status()

        for connections in (64, 256):
            found, each = await self._run(fill, connections=connections, names=NAMES)
            self.report.add(
                f"{self.name}, reads by id, {connections} connections",
                **found.shown(),
                processor_us_each=round(each, 1),
            )

    async def _run(self, before: Empty, **request: Any) -> tuple[Figures, float]:
        """Once to warm up, then once to count."""
        for seconds in (2, self.seconds):
            await before()
            result = await asyncio.to_thread(
                measured, self.pid, self.url, self.folder, seconds=seconds, **request
            )
        return result


async def _direct(
    database: DatabaseSettings,
    folder: Path,
    report: Report,
    seconds: int,
    empty: Empty,
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.bench.direct:make", "--factory"]
    command += ["--port", str(port), "--log-level", "error", "--no-access-log"]
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), *command],
        env={"PATH": os.environ["PATH"], **environment("direct", database)},
    )
    url = f"http://127.0.0.1:{port}{PATH}"

    async def answers() -> bool:
        try:
            async with httpx.AsyncClient() as http:
                return (await http.get(url)).status_code == 202
        except httpx.TransportError:
            return False

    try:
        await eventually(answers)
        await _Side("direct INSERT", url, process.pid, folder, report, seconds).measure(empty)
    finally:
        process.terminate()
        process.wait(20)


async def _bench(containers: Containers, folder: Path, report: Report, seconds: int) -> None:
    authority = Authority.make(folder)
    stream = start_stream(containers, authority, max_memory=900 * 2**20)
    cache = start_documents_cache(containers, authority)
    postgres = start_postgres(containers, authority, flushes_per_second=FLUSHES)
    for server in (stream, cache, postgres):
        await server.wait()
        server.container.pin(CLIENT_CORE)
    database = await postgres.provision("datadb_bench")
    await migrate("datadb", RECORDS.owner("datadb"), database, ENGINES["postgres"])
    service = ServiceProcess(
        "services.ingest_service",
        environment(
            "ingest-service",
            database,
            AUTH_MODE="off",
            INGEST_HIGH_WATER=10**7,
            INGEST_MAX_QUEUE=2 * 10**7,
        )
        | cache.variables("REDIS")
        | stream.variables("REDIS_STREAM")
        | nowhere.variables(nowhere.telemetry(authority)),
        folder / "service.log",
    )
    service.pin(SERVER_CORE)
    look = stream.tester(30)
    try:
        await eventually(service.ready)
        url = f"http://127.0.0.1:{service.port}{PATH}"
        side = _Side("stream", url, service.pid, folder, report, seconds)
        await side.measure(look.flushall)
        await side.reads()
    finally:
        await look.aclose()
        service.kill()
    await _direct(
        database,
        folder,
        report,
        seconds,
        lambda: postgres.as_admin("TRUNCATE documents", database.name),
    )


def run(seconds: int = 6) -> int:
    """Both sides."""
    report = Report("ingest")
    containers = Containers()
    try:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(_bench(containers, Path(folder), report, seconds))
    finally:
        containers.close()
    return report.close()
