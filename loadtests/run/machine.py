"""Where a run took place: the machine, the checkout's revision, what else ran."""

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

from loadtests.observers.processor import REST
from loadtests.verdict.results import Machine

_WORTH_NAMING = 0.05
"""Cores: who used less of them while nothing was asked of the platform is not named."""


def machine(load_before: float, cpu_before: Mapping[str, float]) -> Machine:
    """This machine; ``cpu_before`` are the cores by group just before the run."""
    return Machine(
        cores=os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        kernel=platform.release(),
        load_before=round(load_before, 2),
        others=tuple(
            f"{group if group != REST else 'others on this machine'}: {used:.2f} cores before"
            for group, used in sorted(cpu_before.items(), key=lambda one: -one[1])
            if used >= _WORTH_NAMING
        ),
    )


def revision(root: Path) -> str:
    """The checkout's commit, with ``+`` when it has changes; ``unknown`` without git."""
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(root: Path, *args: str) -> str:
    done = subprocess.run(  # noqa: S603
        ["git", "-C", str(root), *args],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip()
