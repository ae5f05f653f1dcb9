"""``make doctor``: in one screen, what this machine has, lacks, and which environment fits it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bootstrap import engine
from bootstrap.apt import update_into
from bootstrap.checkout import DOCUMENTED_PORTS, Checkout
from bootstrap.cluster.choose import Choice, choose_environment
from bootstrap.registry import port_owner
from bootstrap.steps import StepFailed
from bootstrap.tools import check_go

GIB = 1024**3
LEAST_CORES = 2
LEAST_MEMORY_GIB = 8
LEAST_DISK_GIB = 20
REACH_SECONDS = 60


@dataclass(frozen=True)
class Finding:
    """One line of the screen: ``fine`` is None where it matters only to one environment."""

    what: str
    found: str
    fine: bool | None
    way_out: str = ""


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    return Finding("cores", str(cores), cores >= LEAST_CORES, f"{LEAST_CORES} or more are needed")


def _memory() -> Finding:
    available = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable:")
    )
    return Finding(
        "memory available",
        f"{available / GIB:.1f} GiB",
        available >= LEAST_MEMORY_GIB * GIB,
        f"{LEAST_MEMORY_GIB} GiB or more are needed",
    )


def _disk(checkout: Checkout) -> Finding:
    free = shutil.disk_usage(checkout.root).free
    return Finding(
        "disk free",
        f"{free / GIB:.0f} GiB",
        free >= LEAST_DISK_GIB * GIB,
        f"an empty machine needs {LEAST_DISK_GIB} GiB for caches, images and volumes",
    )


def _engine() -> Finding:
    try:
        client = engine.connect(timeout=10)
    except engine.DockerException:
        missing = engine.missing_packages(engine.ENGINE_PACKAGES)
        state = f"not installed: {', '.join(missing)}" if missing else "installed, not running"
        may = os.geteuid() == 0 and engine.is_debian_like()
        return Finding(
            "container engine",
            state,
            may,
            "make up installs and starts it" if may else engine.way_out(),
        )
    version = str(client.version().get("Version", "unknown"))
    return Finding("container engine", f"Docker {version}", True)


def _programs(environment: str) -> list[Finding]:
    try:
        findings = [Finding("go", check_go(), True)]
    except StepFailed as error:
        findings = [Finding("go", "missing or too old", False, str(error))]
    for program, package in (("mvn", "maven"), ("java", "default-jre-headless")):
        path = shutil.which(program)
        way_out = f"apt-get install {package} (airgap builds Kafka's image from Maven packages)"
        fine = True if path else (None if environment == "dev" else False)
        findings.append(Finding(program, path or f"missing: {way_out}", fine))
    return findings


def _answers(command: list[str]) -> bool:
    try:
        finished = subprocess.run(
            command, capture_output=True, timeout=REACH_SECONDS, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return finished.returncode == 0


def _reaches_pypi() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        uv = shutil.which("uv") or os.environ.get("UV", "uv")
        wanted = Path(folder) / "requirements.in"
        wanted.write_text("iniconfig\n")
        return _answers([uv, "pip", "compile", "--quiet", "--no-cache", str(wanted)])


def _reaches_debian() -> bool:
    """Fetch the package lists into a folder of our own, so that nothing of the system's changes."""
    with tempfile.TemporaryDirectory() as folder:
        return _answers(update_into(folder))


def _sources(choice: Choice) -> list[Finding]:
    checks: dict[str, Callable[[], bool]] = {
        "PyPI": _reaches_pypi,
        "Go modules": lambda: _answers(["go", "list", "-m", "-versions", "golang.org/x/mod"]),
        "Debian packages": _reaches_debian,
    }
    with ThreadPoolExecutor() as pool:
        asked = {name: pool.submit(check) for name, check in checks.items()}
    findings = [
        Finding(
            f"reaches {name}",
            "yes" if answer.result() else "no",
            answer.result(),
            "check that client's own settings (proxy, index, certificates)",
        )
        for name, answer in asked.items()
    ]
    reachable = choice.registry_reachable
    return [*findings, Finding("reaches a container registry", "yes" if reachable else "no", None)]


def _ports(checkout: Checkout) -> list[Finding]:
    findings: list[Finding] = []
    for which in DOCUMENTED_PORTS:
        port = checkout.port(which)
        owner = port_owner(checkout, port)
        found = "free or ours" if owner is None else f"taken by {owner}"
        way_out = "stop it, or shift every port: make up PORT_OFFSET=100"
        findings.append(Finding(f"port {port} ({which})", found, owner is None, way_out))
    return findings


def examine(checkout: Checkout) -> tuple[list[Finding], Choice]:
    """Look at everything; takes some seconds, since it asks the network."""
    choice = choose_environment(checkout)
    findings = [_cores(), _memory(), _disk(checkout), _engine()]
    privileged = engine.privileged_possible()
    findings.append(Finding("privileged containers", "yes" if privileged else "no", None))
    findings += _programs(choice.environment) + _sources(choice)
    ports = _ports(checkout)
    if all(port.fine for port in ports):
        ports = [Finding("host ports", f"all {len(ports)} free or ours", True)]
    return [*findings, *ports], choice


def show(checkout: Checkout, console: Console) -> bool:
    """Print the screen; whether ``make up`` can work here."""
    findings, choice = examine(checkout)
    table = Table(box=None, show_header=False, padding=(0, 1))
    for finding in findings:
        mark = {True: "[green]✓", False: "[red]✗", None: "[dim]·"}[finding.fine]
        table.add_row(
            mark, finding.what, finding.found, finding.way_out if finding.fine is False else ""
        )
    console.print(table)
    console.print(f"\nmake up would choose [bold]{choice.environment}[/bold]: {choice.why}")
    return all(finding.fine is not False for finding in findings)
