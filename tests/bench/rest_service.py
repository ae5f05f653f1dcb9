"""Resources read by id and created per second, beside bare FastAPI routes in the same run.

One process of the service; it, PostgreSQL, Redis and the client share the machine's cores. The
resource that is read is in the cache. PostgreSQL flushes nothing to its disk, so that the service
is what is measured. Closed loop: every connection sends its next request after the answer to the
one before.
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
from tests.bench.bare import PATH
from tests.bench.client import load
from tests.bench.machine import Report, processor_seconds
from tests.integration.containers import Containers
from tests.integration.ports import free_port
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import Authority, eventually, start_postgres, start_redis

CONNECTIONS = 32
BODY = '{"name": "bench", "description": "%s"}' % ("x" * 200)


async def _measure(
    side: str, base: str, pid: int, folder: Path, report: Report, seconds: int
) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        created = (await http.post(base + PATH, content=BODY, headers=JSON)).json()
    runs = (("GET by id", f"{base}{PATH}/{created['id']}", None), ("POST", base + PATH, BODY))
    for what, url, body in runs:
        for counted in (False, True):
            before = processor_seconds(pid)
            found = await asyncio.to_thread(
                load,
                url,
                folder,
                connections=CONNECTIONS,
                seconds=seconds if counted else 2,
                body=body,
            )
        spent = processor_seconds(pid) - before
        each = round(spent / found.requests * 1e6)
        report.add(f"{side}, {what}", **found.shown(), processor_us_each=each)


JSON = {"content-type": "application/json"}


async def _bare(folder: Path, report: Report, seconds: int) -> None:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.bench.bare:make", "--factory"]
    command += ["--port", str(port), "--http", "httptools", "--loop", "uvloop"]
    command += ["--log-level", "error", "--no-access-log", "--lifespan", "off"]
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"]})

    async def answers() -> bool:
        return await _status(f"http://127.0.0.1:{port}/openapi.json") == 200

    try:
        await eventually(answers)
        await _measure(
            "bare FastAPI", f"http://127.0.0.1:{port}", process.pid, folder, report, seconds
        )
    finally:
        process.terminate()
        process.wait(20)


async def _status(url: str) -> int:
    try:
        async with httpx.AsyncClient() as http:
            return (await http.get(url)).status_code
    except httpx.TransportError:
        return 0


async def _service(
    containers: Containers,
    folder: Path,
    report: Report,
    seconds: int,
    root: Path | None,
    look: Callable[[int], Awaitable[None]] | None,
) -> None:
    authority = Authority.make(folder)
    postgres, redis = start_postgres(containers, authority), start_redis(containers, authority)
    await postgres.wait()
    await redis.wait()
    variables: dict[str, str] = {}
    database = None
    for name, prefix in (("restdb", "DATABASE"), ("datadb", "DATA_STORE")):
        settings = await postgres.provision(f"{name}_bench")
        await migrate(name, RECORDS.owner(name), settings, ENGINES["postgres"])
        database = database or settings
        variables |= {f"{prefix}_{k.upper()}": str(v) for k, v in settings.model_dump().items()}
    assert database is not None
    variables |= {f"REDIS_{k.upper()}": str(v) for k, v in redis.settings().model_dump().items()}
    process = ServiceProcess(
        "services.rest_service",
        environment("rest-service", database, AUTH_MODE="off") | variables,
        folder / "rest-service.log",
        root=root,
    )
    try:
        await eventually(process.ready)
        base, pid = f"http://127.0.0.1:{process.port}", process.pid
        measuring = _measure("rest-service", base, pid, folder, report, seconds)
        await asyncio.gather(measuring, *([look(pid)] if look else []))
    finally:
        process.kill()


async def _bench(
    seconds: int,
    root: Path | None,
    look: Callable[[int], Awaitable[None]] | None,
) -> int:
    report = Report("rest-service")
    containers = Containers()
    try:
        with tempfile.TemporaryDirectory() as folder:
            await _bare(Path(folder), report, seconds)
            await _service(containers, Path(folder), report, seconds, root, look)
    finally:
        containers.close()
    return report.close()


def run(
    seconds: int = 10,
    root: Path | None = None,
    look: Callable[[int], Awaitable[None]] | None = None,
) -> int:
    """Both sides. `root`: another checkout, whose service is measured instead; `look`: what else
    is done with its process meanwhile, a profile for one."""
    return asyncio.run(_bench(seconds, root, look))
