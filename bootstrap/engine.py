"""The container engine: used where one answers, installed where we may, else explained."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import docker
from docker.errors import DockerException

from bootstrap.checkout import Checkout
from bootstrap.steps import Report, StepFailed
from bootstrap.tools import locked

# docker.io brings dockerd, containerd and iptables; mmdebstrap makes the base images.
DEBIAN_PACKAGES = ("docker.io", "mmdebstrap")
START_SECONDS = 60.0


def connect(timeout: float = 120) -> docker.DockerClient:
    """A client of the engine that DOCKER_HOST (or the default socket) names.

    Raises:
        DockerException: no engine answers there.
    """
    client = docker.from_env(timeout=int(timeout))
    client.ping()
    return client


def answers() -> bool:
    """Whether an engine answers right now."""
    try:
        connect(timeout=10).close()
    except DockerException:
        return False
    return True


def is_debian_like() -> bool:
    return Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def runs_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def missing_packages() -> list[str]:
    """Those of ``DEBIAN_PACKAGES`` whose programs are not on PATH."""
    programs = {"docker.io": "dockerd", "mmdebstrap": "mmdebstrap"}
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return [name for name in DEBIAN_PACKAGES if shutil.which(programs[name], path=search) is None]


def way_out() -> str:
    """What somebody whose machine we may not change has to do."""
    if is_debian_like():
        return (
            f"as root: apt-get install {' '.join(DEBIAN_PACKAGES)}, start dockerd, then run this "
            "again (or run it as root and it does so itself)"
        )
    return (
        "install Docker Engine 20.10 or newer and mmdebstrap with this system's package manager, "
        "start the engine, and make sure your user may use it (docker info must answer)"
    )


def _install(packages: list[str], report: Report) -> None:
    report.say(f"installing {', '.join(packages)} from Debian's packages")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # Another apt may be at work on a fresh machine: wait for its lock rather than fail.
    options = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    report.run(["apt-get", *options, "update", "-q"], env=environment)
    report.run(
        ["apt-get", *options, "install", "-y", "-q", "--no-install-recommends", *packages],
        env=environment,
    )


def _start(checkout: Checkout, report: Report) -> "subprocess.Popen[bytes] | None":
    """Start the engine; its process, where it is a child of ours."""
    if runs_systemd():
        report.run(["systemctl", "start", "docker"])
        return None
    log = checkout.cache / "engine" / "dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    dockerd = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert dockerd is not None, "missing_packages() was checked before"
    with log.open("ab") as output:
        # Without the userland proxy a published port costs no process and a connection no two
        # open files; loopback ports still work (iptables hairpin).
        process = subprocess.Popen(
            [dockerd, "--userland-proxy=false", "--log-level=warn"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    report.say(f"starting dockerd, log in {log}")
    return process


def ensure_engine(checkout: Checkout, report: Report) -> None:
    """Make a container engine answer.

    Raises:
        StepFailed: none answers and this user or system is not one where we may install one.
    """
    may_change = os.geteuid() == 0 and is_debian_like()
    with locked(checkout.cache / "engine" / "engine.lock"):
        if (missing := missing_packages()) and not may_change:
            raise StepFailed(f"missing on this machine: {', '.join(missing)}; {way_out()}")
        if missing:
            _install(missing, report)
        if answers():
            return
        if os.environ.get("DOCKER_HOST") or not may_change:
            where = os.environ.get("DOCKER_HOST", "the default socket")
            raise StepFailed(f"no container engine answers at {where}; {way_out()}")
        process = _start(checkout, report)
        # dockerd has no "ready" signal we could wait on; its socket answering is the condition.
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if process is not None and process.poll() is not None:
                # After a kill -9 of engine and containerd the first start trips over the dead
                # containerd's pid file and gives up; by then the file is gone.
                process = _start(checkout, report)
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"dockerd did not answer within {START_SECONDS:.0f} s; see "
                    f"{checkout.cache / 'engine' / 'dockerd.log'}"
                )
            time.sleep(0.2)


def privileged_possible() -> bool:
    """Whether ``--privileged`` containers can run: the engine asks for every capability by name.

    An engine cannot hand out what its own bounding set lacks, so we read that of PID 1 here.
    """
    try:
        status = Path("/proc/1/status").read_text()
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    except OSError:
        return False
    bounding = int(status.split("CapBnd:")[1].split()[0], 16)
    return bounding == (1 << (last + 1)) - 1
