"""Service processes started as the cluster starts them: by command and environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from services.shared.runtime.settings import DatabaseSettings, KafkaSettings
from tests.integration.ports import free_port


def environment(
    service: str,
    database: DatabaseSettings,
    kafka: KafkaSettings | None = None,
    **more: object,
) -> dict[str, str]:
    """The variables of a service; upper-case keywords are added as they are."""
    values: dict[str, object] = {
        "SERVICE_NAME": service,
        "HTTP_HOST": "127.0.0.1",
        "DRAIN_SECONDS": 0,
        "DATABASE_HOST": database.host,
        "DATABASE_PORT": database.port,
        "DATABASE_NAME": database.name,
        "DATABASE_USER": database.user,
        "DATABASE_PASSWORD_FILE": database.password_file,
        "DATABASE_CA_FILE": database.ca_file,
        **more,
    }
    if kafka:
        values |= {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_USERNAME": kafka.username,
            "KAFKA_PASSWORD_FILE": kafka.password_file,
            "KAFKA_MECHANISM_FILE": kafka.mechanism_file,
            "KAFKA_CA_FILE": kafka.ca_file,
        }
    return {name: str(value) for name, value in values.items()}


class ServiceProcess:
    """One process of `python -m MODULE`, its log in a file, its HTTP port known."""

    def __init__(
        self, module: str, variables: Mapping[str, str], log: Path, root: Path | None = None
    ) -> None:
        """`root`: another checkout to run it from."""
        self.log = log
        self.headers: dict[str, str] = {}
        """What its clients show, where whoever starts it says so."""
        self.port = free_port()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                env={"PATH": os.environ["PATH"], **variables, "HTTP_PORT": str(self.port)},
                cwd=root,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def pin(self, core: int) -> None:
        """Let it run on one core alone; before it has started threads."""
        os.sched_setaffinity(self._process.pid, {core})

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def terminate(self) -> int:
        """SIGTERM; the exit code, which is that of an orderly end."""
        self.signal(signal.SIGTERM)
        return self._process.wait(120)

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, also for a stopped process."""
        self._process.kill()
        self._process.wait(60)

    def running(self) -> bool:
        return self._process.poll() is None

    async def get(self, path: str) -> httpx.Response | None:
        """None while it does not listen."""
        try:
            async with httpx.AsyncClient() as client:
                return await client.get(f"http://127.0.0.1:{self.port}{path}", timeout=30)
        except httpx.TransportError:
            return None

    async def ready(self) -> bool:
        assert self.running(), self.log.read_text()[-3000:]
        response = await self.get("/ready")
        return response is not None and response.status_code == 200

    async def metric(self, name: str) -> float:
        """The sum of a metric's samples, 0 while there are none."""
        response = await self.get("/metrics")
        if response is None:
            return 0.0
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in response.text.splitlines()
            if line.startswith((f"{name} ", f"{name}{{"))
        )

    async def metric_is(self, name: str, value: float) -> bool:
        return await self.metric(name) == value
