"""What a figure is worth depends on what else ran: said before it, and with it in the reports."""

# ruff: noqa: T201

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker


def describe() -> dict[str, Any]:
    """The machine now."""
    running = docker.from_env(timeout=30).containers.list()
    return {
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "containers": len(running),
    }


def processor_seconds(pid: int) -> float:
    """What a process has used so far; unlike a rate it hardly depends on what else runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Report:
    """Prints as it goes, and at the end one line of JSON with all of it."""

    name: str
    machine: dict[str, Any] = field(default_factory=describe)
    results: list[dict[str, Any]] = field(default_factory=list)
    spoilt: list[str] = field(default_factory=list)
    """Sides whose rate is no rate of answers."""

    def __post_init__(self) -> None:
        there = self.machine
        self.say(
            f"{self.name}: {there['cores']} cores, load average before {there['load_average']},"
            f" {there['containers']} other containers running; all sides on this machine"
        )

    def say(self, text: str) -> None:
        """A line for who watches."""
        print(text, flush=True)

    def add(self, side: str, **figures: Any) -> None:
        """What one side did."""
        self.results.append({"side": side, **figures})
        if figures.get("refused") or figures.get("broken"):
            self.spoilt.append(side)
        shown = ", ".join(f"{name} {_short(value)}" for name, value in figures.items())
        self.say(f"  {side}: {shown}")

    def close(self) -> int:
        """The line for reports. The exit code: 1 when a side was refused, or got no answers."""
        after = round(os.getloadavg()[0], 2)
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"bench": self.name, "at": when, "machine": self.machine | {"load_after": after}}
        print(json.dumps(line | {"results": self.results}), flush=True)
        if self.spoilt:
            self.say(
                f"{self.name} failed: there were requests that were refused, or got no answer, in"
                f" {'; '.join(self.spoilt)}. A rate of those says nothing"
            )
        return 1 if self.spoilt else 0


def _short(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else str(value)
