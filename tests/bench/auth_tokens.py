"""Tokens per second and core with credentials that were seen before, beside plain FastAPI.

One process of the service on one core, the client on the other. The rivals are the same token by
the same libraries in a route of FastAPI: with a query for every request, on the service's terms;
and with bcrypt beside it, which is what one writes first, with both cores to do it on, and so few
connections that each is answered before its client gives up.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import bcrypt
import httpx
from joserfc.jwk import ECKey

from services.auth_service.hashing import COST
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.provision.mysql import provision
from services.shared.runtime.settings import DatabaseSettings
from tests.bench.client import SERVER_CORE, measured
from tests.bench.machine import Report
from tests.integration.containers import Containers
from tests.integration.ports import free_port
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import Authority, eventually, start_mysql

CONNECTIONS = 32
OF_BCRYPT = 4
"""Connections to the rival whose every answer takes bcrypt."""
FORM = "application/x-www-form-urlencoded"
GRANT = {"grant_type": "client_credentials"}


@asynccontextmanager
async def database(containers: Containers, folder: Path) -> AsyncIterator[DatabaseSettings]:
    """client_db on a server of its own, as its services' account sees it."""
    server = start_mysql(containers, Authority.make(folder))
    await server.wait()
    made = server.database("client_db")
    await provision(server.spec(made))
    owner = server.settings(made.name, made.owner.name, made.owner.password_file)
    await migrate(made.name, "auth_service", owner, ENGINES["mysql"])
    yield server.settings(made.name, made.user.name, made.user.password_file)


def variables(settings: DatabaseSettings, folder: Path) -> dict[str, str]:
    """Of a process of the service, with a key and an administrator of its own."""
    keys, secret = folder / "keys", folder / "administrator"
    keys.mkdir()
    (keys / "k1.pem").write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    (keys / "active").write_text("k1")
    secret.write_text("administrator-of-the-benchmark")
    return environment(
        "auth-service",
        settings,
        AUTH_ISSUER="http://auth.bench",
        AUTH_KEYS_DIR=str(keys),
        AUTH_ADMIN_SECRET_FILE=str(secret),
        LOG_LEVEL="INFO",
    )


async def registered(base: str) -> tuple[str, str]:
    """A client with two scopes: its id and secret."""
    async with httpx.AsyncClient(base_url=base, timeout=30) as http:
        who = ("administrator", "administrator-of-the-benchmark")
        token = (await http.post("/oauth/token", data=GRANT, auth=who)).json()["access_token"]
        given = {"client_name": "bench", "scope": "data:read data:write"}
        headers = {"authorization": f"Bearer {token}"}
        made = (await http.post("/oauth/clients", json=given, headers=headers)).json()
    return made["client_id"], made["client_secret"]


async def _measure(
    side: str,
    pid: int,
    url: str,
    body: str,
    folder: Path,
    report: Report,
    seconds: int,
    connections: int = CONNECTIONS,
) -> None:
    for counted in (False, True):
        found, each = await asyncio.to_thread(
            measured,
            pid,
            url,
            folder,
            connections=connections,
            seconds=seconds if counted else 2,
            body=body,
            content_type=FORM,
        )
    report.add(
        side, **found.shown(), processor_us_each=round(each), per_core_second=round(1e6 / each)
    )


async def _rival(
    given: dict[str, str],
    body: str,
    folder: Path,
    report: Report,
    seconds: int,
    *,
    remembers: bool,
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.bench.auth_rival:make", "--factory"]
    command += ["--port", str(port), "--http", "httptools", "--loop", "uvloop"]
    command += ["--log-level", "error", "--no-access-log"]
    more = {"PATH": os.environ["PATH"], "RIVAL_REMEMBERS": "1" if remembers else ""}
    process = subprocess.Popen(command, env={**more, **given})
    if remembers:
        os.sched_setaffinity(process.pid, {SERVER_CORE})

    async def answers() -> bool:
        try:
            async with httpx.AsyncClient() as http:
                return (await http.get(f"http://127.0.0.1:{port}/openapi.json")).is_success
        except httpx.TransportError:
            return False

    try:
        await eventually(answers)
        url = f"http://127.0.0.1:{port}/oauth/token"
        side = "plain FastAPI" + (" that remembers secrets" if remembers else "")
        connections = CONNECTIONS if remembers else OF_BCRYPT
        async with httpx.AsyncClient(timeout=30) as http:  # it remembers from the first answer on
            headers = {"content-type": FORM}
            (await http.post(url, content=body, headers=headers)).raise_for_status()
        await _measure(side, process.pid, url, body, folder, report, seconds, connections)
    finally:
        process.kill()  # nobody waits for what it has in hand
        process.wait(20)


async def _bench(seconds: int) -> int:
    report = Report("auth-tokens")
    times: list[float] = []
    hashed = bcrypt.hashpw(b"x" * 43, bcrypt.gensalt(COST))
    for _ in range(10):
        began = time.thread_time()
        bcrypt.checkpw(b"x" * 43, hashed)
        times.append(time.thread_time() - began)
    median = round(statistics.median(times) * 1000, 1)
    report.add("a secret that is new to the process", processor_ms_of_bcrypt=median)
    containers = Containers()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            async with database(containers, folder) as settings:
                given = variables(settings, folder)
                process = ServiceProcess("services.auth_service", given, folder / "auth.log")
                process.pin(SERVER_CORE)
                try:
                    await eventually(process.ready)
                    base = f"http://127.0.0.1:{process.port}"
                    client_id, secret = await registered(base)
                    body = urlencode({**GRANT, "client_id": client_id, "client_secret": secret})
                    url = f"{base}/oauth/token"
                    await _measure("auth-service", process.pid, url, body, folder, report, seconds)
                finally:
                    process.kill()
                for remembers in (True, False):
                    await _rival(given, body, folder, report, seconds, remembers=remembers)
    finally:
        containers.close()
    return report.close()


def run(seconds: int = 10) -> int:
    """All sides."""
    return asyncio.run(_bench(seconds))
