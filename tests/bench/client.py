"""The client of the HTTP benchmarks: wrk, as one written in Python would be what is measured."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.machine import processor_seconds

SERVER_CORE, CLIENT_CORE = 0, 1

_SCRIPT = """
wrk.method = "%(method)s"
wrk.headers["Content-Type"] = "%(content_type)s"
%(body)s
%(request)s
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('RESULT {"requests": %%d, "microseconds": %%d, "p50_ms": %%.3f,'
    .. ' "p99_ms": %%.3f, "max_ms": %%.3f, "refused": %%d, "broken": %%d}\\n',
    summary.requests, summary.duration, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, latency.max / 1000, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""


_BY_NAME = """
function request()
  return wrk.format(nil, wrk.path .. "/" .. math.random(%d))
end
"""


class NoClientError(Exception):
    """wrk is missing; the message says what to do."""


@dataclass(frozen=True)
class Figures:
    """What wrk saw. Closed loop: every connection sends its next request after the answer."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    """Answers other than 2xx and 3xx."""
    broken: int
    """Requests without an answer."""

    def shown(self) -> dict[str, float]:
        """For a report."""
        return {name: round(value, 2) for name, value in asdict(self).items()}


def load(
    url: str,
    folder: Path,
    *,
    connections: int,
    seconds: int,
    body: str | None = None,
    content_type: str = "application/json",
    names: int = 0,
) -> Figures:
    """POST `body`, or GET without one, over keep-alive connections for some seconds.

    `names`: how many paths below `url` to take by chance, from 1 on.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise NoClientError("wrk is not installed: `apt-get install wrk`, then try again")
    script = folder / "request.lua"
    script.write_text(
        _SCRIPT
        % {
            "method": "GET" if body is None else "POST",
            "content_type": content_type,
            "body": "" if body is None else f"wrk.body = [==[{body}]==]",
            "request": _BY_NAME % names if names else "",
        }
    )
    command = ["taskset", "-c", str(CLIENT_CORE), wrk, "-t1", f"-c{connections}", f"-d{seconds}s"]
    command += ["--timeout", "10s", "-s", str(script), url]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=seconds + 60
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        raise RuntimeError(f"wrk failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    said = json.loads(lines[0].removeprefix("RESULT "))
    return Figures(
        requests=said["requests"],
        per_second=said["requests"] / (said["microseconds"] / 1e6),
        p50_ms=said["p50_ms"],
        p99_ms=said["p99_ms"],
        max_ms=said["max_ms"],
        refused=said["refused"],
        broken=said["broken"],
    )


def measured(pid: int, url: str, folder: Path, **request: Any) -> tuple[Figures, float]:
    """What load() says, and the processor time of `pid` for each request, in microseconds."""
    before = processor_seconds(pid)
    found = load(url, folder, **request)
    return found, (processor_seconds(pid) - before) / max(found.requests, 1) * 1e6
