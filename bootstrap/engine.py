"""The container engine: used where one answers, installed where we may, else explained."""

import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

import docker
from docker.errors import DockerException
from docker.models.containers import Container

from bootstrap.checkout import Checkout
from bootstrap.steps import Report, StepFailed
from bootstrap.tools import locked

# Program to the Debian package that brings it. docker.io brings containerd and iptables too.
ENGINE_PACKAGES = {"dockerd": "docker.io"}
# mmdebstrap makes the base images; the keyring lets it verify Debian's archive on Ubuntu.
IMAGE_PACKAGES = {"mmdebstrap": "mmdebstrap debian-archive-keyring"}
_SYSTEM_FOLDERS = ":/usr/local/sbin:/usr/sbin:/sbin"  # absent from many users' PATH
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


def read_file(container: Container, path: str) -> bytes:
    """A regular file of a container, whether it runs or not.

    By copying: what a short program prints in a container the engine, when it has much else to do,
    may lose on its way here.
    """
    stream, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        member = archive.extractfile(Path(path).name)
        assert member is not None, f"{path} is a regular file"
        return member.read()


def is_debian_like() -> bool:
    return Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def runs_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _search_path() -> str:
    return os.environ.get("PATH", "") + _SYSTEM_FOLDERS


def missing_packages(packages: Mapping[str, str]) -> list[str]:
    """Those of ``packages`` (program to package names) whose program is not on PATH."""
    missing = [
        package
        for program, package in packages.items()
        if shutil.which(program, path=_search_path()) is None
    ]
    return " ".join(missing).split()


def _may_install() -> bool:
    return os.geteuid() == 0 and is_debian_like()


def way_out() -> str:
    """What somebody whose machine we may not change has to do."""
    if is_debian_like():
        return (
            "as root: apt-get install docker.io mmdebstrap, start dockerd, then run this "
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
    dockerd = shutil.which("dockerd", path=_search_path())
    assert dockerd is not None, "missing_packages() was checked before"
    with log.open("ab") as output:
        # Without the userland proxy a published port costs no process and a connection no two
        # open files; loopback ports still work (iptables hairpin).
        process = subprocess.Popen(
            [dockerd, "--userland-proxy=false", "--log-level=warn"],
            env=os.environ | {"PATH": _search_path()},  # it calls iptables
            # A pipe at its end and not /dev/null, which is everybody's: asking whether the kernel
            # knows such locks, dockerd takes one on its standard input and keeps it (etcd's
            # pkg/fileutil/lock_linux.go before 3.4.15, which it contains, has the wrong number).
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.close()
    report.say(f"starting dockerd, log in {log}")
    return process


def ensure_engine(checkout: Checkout, report: Report) -> None:
    """Make a container engine answer; one that does is used as it is.

    Raises:
        StepFailed: none answers and this user or system is not one where we may install one.
    """
    with locked(checkout.cache / "engine" / "engine.lock"):
        if answers():
            return
        missing = missing_packages(ENGINE_PACKAGES)
        if os.environ.get("DOCKER_HOST") or not _may_install():
            where = os.environ.get("DOCKER_HOST", "the default socket")
            lacking = f" (not installed: {', '.join(missing)})" if missing else ""
            raise StepFailed(f"no container engine answers at {where}{lacking}; {way_out()}")
        if missing:
            _install(missing, report)
            if answers():  # a system that starts what it installs
                return
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


def ensure_image_tools(checkout: Checkout, report: Report) -> None:
    """Have what base images are made with.

    Raises:
        StepFailed: it is missing and this user or system is not one where we may install it.
    """
    with locked(checkout.cache / "engine" / "engine.lock"):
        missing = missing_packages(IMAGE_PACKAGES)
        if missing and not _may_install():
            raise StepFailed(f"missing on this machine: {', '.join(missing)}; {way_out()}")
        if missing:
            _install(missing, report)


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
