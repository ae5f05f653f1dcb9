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
from pathlib import Path

import httpx

from infra.model.records import RECORDS
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.shared.runtime.settings import DatabaseSettings
from tests.bench.client import CLIENT_CORE, SERVER_CORE, load
from tests.bench.machine import Report, processor_seconds
from tests.integration.containers import Containers
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


async def _measure(
    side: str,
    url: str,
    folder: Path,
    report: Report,
    seconds: int,
    empty: Callable[[], Awaitable[object]],
    pid: int,
) -> None:
    for what, body, documents, all_connections in RUNS:
        for connections in all_connections:
            for warm in (True, False):
                await empty()
                before = processor_seconds(pid)
                found = await asyncio.to_thread(
                    load,
                    url,
                    folder,
                    connections=connections,
                    seconds=2 if warm else seconds,
                    body=body,
                )
                spent = processor_seconds(pid) - before
            figures = found.shown()
            rate = figures.pop("per_second")
            report.add(
                f"{side}, {what}, {connections} connections",
                documents_per_second=round(rate * documents, 1),
                **figures,
                processor_us_each=round(spent / (found.requests * documents) * 1e6, 1),
            )


async def _reads(url: str, folder: Path, report: Report, seconds: int, pid: int) -> None:
    """By id, while they are on their way to the database; the rival is the acceptance itself."""
    async with httpx.AsyncClient(timeout=30) as http:
        for first in range(1, NAMES + 1, 100):
            batch = [{"id": f"{n}", "text": "x" * 200} for n in range(first, first + 100)]
            (await http.post(url, json=batch)).raise_for_status()
    for connections in (64, 256):
        for warm in (True, False):
            before = processor_seconds(pid)
            found = await asyncio.to_thread(
                load,
                url,
                folder,
                connections=connections,
                seconds=2 if warm else seconds,
                names=NAMES,
            )
            spent = processor_seconds(pid) - before
        figures = found.shown()
        report.add(
            f"stream, reads by id, {connections} connections",
            **figures,
            processor_us_each=round(spent / found.requests * 1e6, 1),
        )


async def _direct(
    database: DatabaseSettings,
    folder: Path,
    report: Report,
    seconds: int,
    empty: Callable[[], Awaitable[object]],
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
        await _measure("direct INSERT", url, folder, report, seconds, empty, process.pid)
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
        environment("ingest-service", database, INGEST_HIGH_WATER=10**7, INGEST_MAX_QUEUE=2 * 10**7)
        | cache.variables("REDIS")
        | stream.variables("REDIS_STREAM"),
        folder / "service.log",
    )
    service.pin(SERVER_CORE)
    look = stream.tester(30)
    try:
        await eventually(service.ready)
        url = f"http://127.0.0.1:{service.port}{PATH}"
        await _measure("stream", url, folder, report, seconds, look.flushall, service.pid)
        await _reads(url, folder, report, seconds, service.pid)
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
    report.close()
    return 0
