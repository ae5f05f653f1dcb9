"""What services/shared/grpc adds to a call, and what a server of gRPC should stand on.

A unary echo of a small task by servers that have nothing around it, in asyncio and with threads,
beside ours with all of its stack: token, ids, deadline, limits, metrics, log. One process on one
core, the client on the other, 64 calls in flight. The sides take turns, and the median of each
counts.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.contracts.scopes import TASKS_WRITE
from tests.bench.client import CLIENT_CORE, SERVER_CORE, NoClientError
from tests.bench.grpc_servers import PATH, echoed
from tests.bench.machine import Report, processor_seconds
from tests.harness.issuer import Issuer

SIDES = {
    "bare asyncio": ("bare", "asyncio"),
    "ours asyncio": ("ours", "asyncio"),
    "bare uvloop": ("bare", "uvloop"),
    "ours uvloop": ("ours", "uvloop"),
    "bare threads": ("sync", "none"),
}
CONNECTIONS, EACH = 8, 8
LEAST = 0.8
"""What ours keeps at least of the rate of the bare server on the same loop."""
REQUEST = tasks_pb2.ProcessTaskRequest(
    resource_id="01a209da-cbb1-7d07-b9cc-fa1f44d0a4c2", action="digest"
)
_FINISHED = re.compile(r"finished in ([\d.]+)(us|ms|s), ([\d.]+) req/s")
_REQUESTS = re.compile(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout")
_DATA = re.compile(r"\((\d+)\) data")
_MEAN = re.compile(r"time for request:.*?\s+([\d.]+)(us|ms|s)\s+[\d.]+(?:us|ms|s)\s+[\d.]+%")


def _framed(message: Any) -> bytes:
    """As it goes over the wire: not compressed, and how long it is."""
    text: bytes = message.SerializeToString()
    return struct.pack(">BI", 0, len(text)) + text


@dataclass(frozen=True)
class Figures:
    """What h2load saw. Closed loop: each call in flight is followed by the next."""

    calls: int
    per_second: float
    mean_ms: float
    broken: int
    """Calls without an answer, or with another than the task."""


def _load(port: int, token: str, folder: Path, calls: int) -> Figures:
    h2load = shutil.which("h2load")
    if h2load is None:
        raise NoClientError("h2load is not installed: `apt-get install nghttp2-client`, try again")
    body = folder / "request"
    body.write_bytes(_framed(REQUEST))
    headers = {
        "content-type": "application/grpc",
        "te": "trailers",
        "grpc-timeout": "5S",
        "authorization": f"Bearer {token}",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        "x-correlation-id": "01a209da-cb84-71ee-8696-3a42920e154b",
    }
    command = ["taskset", "-c", str(CLIENT_CORE), h2load, "-t1", f"-c{CONNECTIONS}", f"-m{EACH}"]
    command += [f"-n{calls}", "-d", str(body)]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    command.append(f"http://127.0.0.1:{port}{PATH}")
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    try:
        _, _, rate = _found(_FINISHED, done.stdout)
        succeeded, *_ = _found(_REQUESTS, done.stdout)
        [data] = _found(_DATA, done.stdout)
        mean, unit = _found(_MEAN, done.stdout)
    except ValueError:
        raise RuntimeError(f"h2load failed: {done.stdout[-1000:]}{done.stderr[-1000:]}") from None
    # A call that is refused is a success to HTTP, and has no message.
    answered = int(data) // len(_framed(echoed(REQUEST)))
    scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]
    broken = calls - min(int(succeeded), answered)
    return Figures(calls, float(rate), float(mean) * scale, broken)


def _found(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.search(text)
    if match is None:
        raise ValueError(pattern.pattern)
    return match.groups()


@contextmanager
def _server(kind: str, loop: str, issuer: Issuer) -> Generator[tuple[int, int]]:
    """Its process, and its port."""
    command = [sys.executable, "-m", "tests.bench.grpc_servers", kind, loop]
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), *command],
        env={**os.environ, **issuer.variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("PORT "):
                yield process.pid, int(line.split()[1])
                return
        raise RuntimeError(f"{kind} did not start")
    finally:
        process.terminate()
        process.wait(20)


def _turn(side: str, issuer: Issuer, folder: Path, calls: int) -> tuple[Figures, float]:
    """One side's: what was seen, and the processor's microseconds for each call."""
    token = issuer.token(TASKS_WRITE)
    with _server(*SIDES[side], issuer) as (pid, port):
        _load(port, token, folder, max(calls // 10, 200))  # not counted
        before = processor_seconds(pid)
        found = _load(port, token, folder, calls)
        return found, (processor_seconds(pid) - before) / calls * 1e6


def run(calls: int = 30_000, rounds: int = 5) -> int:
    """All sides, in turns. 1 also when ours is too far below the bare server."""
    report = Report("grpc-stack")
    seen: dict[str, list[tuple[Figures, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder, Issuer() as issuer:
        for _ in range(rounds):
            for side, turns in seen.items():
                turns.append(_turn(side, issuer, Path(folder), calls))
    rates = {
        side: statistics.median(f.per_second for f, _ in turns) for side, turns in seen.items()
    }
    for side, turns in seen.items():
        report.add(
            side,
            per_second=round(rates[side], 1),
            mean_ms=round(statistics.median(f.mean_ms for f, _ in turns), 2),
            processor_us_each=round(statistics.median(each for _, each in turns), 1),
            broken=sum(f.broken for f, _ in turns),
        )
    kept = {loop: rates[f"ours {loop}"] / rates[f"bare {loop}"] for loop in ("asyncio", "uvloop")}
    report.say(f"ours keeps {', '.join(f'{part:.0%} on {loop}' for loop, part in kept.items())}")
    code = report.close()
    if min(kept.values()) < LEAST:
        report.say(f"grpc-stack failed: that is below {LEAST:.0%}")
        return 1
    return code
