"""Processor time by group of processes: the load generator, every workload, the cluster, the rest.

A pod's processes are told by their control group, which holds the pod's id; the node's own are
those in the group that holds what starts the pods. It needs a node on this machine: elsewhere all
but the generator is the rest.
"""

import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

GENERATOR, CLUSTER, ENGINE, REST = "load generator", "cluster", "container engine", "the rest"
_POD = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})")
_ENGINE = ("dockerd", "containerd", "containerd-shim", "docker-proxy")


@dataclass(frozen=True)
class Process:
    """What tells a process's group."""

    pid: int
    parent: int
    name: str
    control_group: str


def pod_of(control_group: str) -> str | None:
    """The id of the pod that a control group belongs to."""
    found = _POD.search(control_group)
    return found[1].replace("_", "-") if found else None


def groups(
    processes: Mapping[int, Process], workloads: Mapping[str, str], generator: int
) -> dict[int, str]:
    """The group of every process, by its id; ``workloads`` are named by their pods' ids.

    ``generator`` is the process that all of the load generator descends from.
    """
    ours = (one for one in processes.values() if pod_of(one.control_group) in workloads)
    nodes = {_above(process, processes) for process in ours}
    nodes.discard("")
    return {
        pid: _group(process, processes, workloads, nodes, generator)
        for pid, process in processes.items()
    }


def _above(process: Process, processes: Mapping[int, Process]) -> str:
    """The control group of what started the pod: the nearest ancestor's that is in none."""
    seen: set[int] = set()
    while pod_of(process.control_group) is not None and process.pid not in seen:
        seen.add(process.pid)
        above = processes.get(process.parent)
        if above is None:
            return ""
        process = above
    # At the root everything would be the cluster.
    return process.control_group if len(process.control_group) > 1 else ""


def _group(
    process: Process,
    processes: Mapping[int, Process],
    workloads: Mapping[str, str],
    nodes: set[str],
    generator: int,
) -> str:
    pod = pod_of(process.control_group)
    if pod is not None:
        return workloads.get(pod, REST)
    if process.control_group in nodes:
        return CLUSTER
    if _descends(process, generator, processes):
        return GENERATOR
    return ENGINE if process.name.startswith(_ENGINE) else REST


def _descends(process: Process, ancestor: int, processes: Mapping[int, Process]) -> bool:
    seen: set[int] = set()
    while process.pid not in seen:
        if process.pid == ancestor:
            return True
        seen.add(process.pid)
        above = processes.get(process.parent)
        if above is None:
            return False
        process = above
    return False


class Processor:
    """Adds up processor time; ``looks`` are the times and the cores of each group since before."""

    def __init__(self, workloads: Callable[[], Mapping[str, str]]) -> None:
        self.looks: list[tuple[float, dict[str, float]]] = []
        self._workloads = workloads
        self._known: dict[int, tuple[float, Process]] = {}
        self._before: dict[tuple[int, float], float] = {}
        self._at = 0.0

    def look(self) -> None:
        """Once; the first look only begins."""
        now = time.time()
        spent: dict[tuple[int, float], float] = {}
        for process in psutil.process_iter():
            try:
                with process.oneshot():
                    born, times = process.create_time(), process.cpu_times()
                    if self._known.get(process.pid, (0.0, None))[0] != born:
                        about = Process(
                            process.pid, process.ppid(), process.name(), _control_group(process.pid)
                        )
                        self._known[process.pid] = (born, about)
            except (psutil.Error, OSError):
                continue  # it ended meanwhile
            spent[process.pid, born] = times.user + times.system
        self._known = {pid: self._known[pid] for pid, _ in spent}
        if self._before:
            self.looks.append((now, self._cores(spent, now - self._at)))
        self._before, self._at = spent, now

    def _cores(self, spent: Mapping[tuple[int, float], float], seconds: float) -> dict[str, float]:
        known = {pid: about for pid, (_, about) in self._known.items()}
        group_of = groups(known, self._workloads(), os.getpid())
        cores: defaultdict[str, float] = defaultdict(float)
        for (pid, born), used in spent.items():
            # A process that was not there before has used all of it since.
            cores[group_of[pid]] += max(0.0, used - self._before.get((pid, born), 0.0)) / seconds
        return dict(cores)

    def mean(self, since: float, until: float) -> dict[str, float]:
        """Cores by group over a stretch of time; {} when nobody looked."""
        within = [cores for at, cores in self.looks if since <= at <= until]
        summed: Counter[str] = Counter()
        for cores in within:
            summed.update(cores)
        return {group: used / len(within) for group, used in summed.items()}


def _control_group(pid: int) -> str:
    """The longest of a process's control groups: with several hierarchies not all are set."""
    lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    return max((line.split(":", 2)[2] for line in lines), key=len, default="")
