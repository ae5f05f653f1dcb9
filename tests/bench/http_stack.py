"""Which HTTP stack a service that answers thousands of small POSTs a second should stand on.

Every pair of a way to write the endpoint and a server to run it, one process on one core, the
client on the other; nothing behind the endpoint. 256 bytes in, an id out.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.client import SERVER_CORE, load, measured
from tests.bench.machine import Report
from tests.bench.stacks import PATH, STACKS
from tests.integration.ports import free_port

CONNECTIONS = 64
_FACTORY = "tests.bench.stacks:make"
BODY = '{"name": "sensor", "number": 42, "text": "%s"}'
BODY %= "x" * (256 - len(BODY) + 2)


def _command(server: str, port: int) -> list[str]:
    python = [sys.executable, "-m", server, _FACTORY, "--factory", "--port", str(port)]
    if server == "uvicorn":
        more = ["--http", "httptools", "--loop", "uvloop", "--log-level", "error"]
        return [*python, *more, "--no-access-log", "--lifespan", "off"]
    more = ["--interface", "asginl", "--loop", "uvloop", "--http", "1", "--workers", "1"]
    return [*python, *more, "--no-ws", "--no-log"]


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def measure(stack: str, server: str, folder: Path, report: Report, seconds: int) -> None:
    """One pair."""
    port = free_port()
    pinned = ["taskset", "-c", str(SERVER_CORE), *_command(server, port)]
    process = subprocess.Popen(pinned, env={**os.environ, "STACK": stack})
    try:
        deadline = time.monotonic() + 20
        while not _listening(port):
            assert process.poll() is None, f"{server} with {stack} did not start"
            assert time.monotonic() < deadline, f"{server} with {stack} does not listen"
            time.sleep(0.05)
        url = f"http://127.0.0.1:{port}{PATH}"
        load(url, folder, connections=CONNECTIONS, seconds=1, body=BODY)  # not counted
        found, each = measured(
            process.pid, url, folder, connections=CONNECTIONS, seconds=seconds, body=BODY
        )
    finally:
        process.terminate()
        process.wait(20)
    report.add(f"{server} {stack}", **found.shown(), processor_us_each=round(each, 1))


def run(seconds: int = 6) -> int:
    """All pairs."""
    report = Report("http-stack")
    assert len(BODY) == 256
    with tempfile.TemporaryDirectory() as folder:
        for server in ("uvicorn", "granian"):
            for stack in STACKS:
                measure(stack, server, Path(folder), report, seconds)
    return report.close()
