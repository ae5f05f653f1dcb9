"""A Kubernetes cluster in one container, for machines that reach package registries alone.

No ``--privileged``: the container gets every capability that this machine can give, by name,
and starts on control groups of version 1 and 2, with or without systemd. What runs inside is
told by ``bootstrap/images/node/start-node``.

Sources: Docker Engine API 1.41 (/containers/create, HostConfig); capabilities(7).
"""

import os
import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import Mount

from bootstrap.checkout import DOCUMENTED_PORTS, Checkout
from bootstrap.engine import connect
from bootstrap.images.build import ensure_image
from bootstrap.images.publish import published_images
from bootstrap.images.recipes import LABEL, NODE, PAUSE, image_tag
from bootstrap.network import ensure_network, remove_network, require_port
from bootstrap.registry import PORT_INSIDE as REGISTRY_PORT_INSIDE
from bootstrap.registry import container_name as registry_name
from bootstrap.steps import Report, StepFailed

API_PORT = 6443
READY_FILE = "/run/millrace/ready"
ADMIN_KUBECONFIG = "/var/lib/millrace/pki/admin.kubeconfig"
READY_SECONDS = 180.0
STOP_SECONDS = 15
MOST_RESTARTS = 3
MOST_OPEN_FILES = 1_048_576
_POLL_SECONDS = 0.2

# In the kernel's order; Docker 20.10 does not know those added after AUDIT_READ.
CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
    *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ"),
)


@dataclass(frozen=True)
class ClusterStatus:
    """The node container's state: ``absent``, or as the engine calls it, and whether it is ready."""

    state: str
    ready: bool


def grantable_capabilities(process_status: str) -> list[str]:
    """The capabilities that an engine on this machine can hand out.

    ``process_status`` is the text of /proc/PID/status of a process whose bounding set is the
    engine's, which on one machine is that of any.
    """
    line = next(line for line in process_status.splitlines() if line.startswith("CapBnd:"))
    bounding = int(line.split()[1], 16)
    return [name for bit, name in enumerate(CAPABILITIES) if bounding & 1 << bit]


def open_files_limit() -> int:
    """As many open files as the machine allows, at most ``MOST_OPEN_FILES``."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)


def published_ports(checkout: Checkout) -> dict[str, int]:
    """Container port to host port; inside, NodePorts have the documented numbers always."""
    node_ports = {name: n for name, n in DOCUMENTED_PORTS.items() if name in _NODE_PORTS}
    ports = {f"{number}/tcp": checkout.port(name) for name, number in node_ports.items()}
    return ports | {f"{API_PORT}/tcp": checkout.port("kubernetes")}


_NODE_PORTS = ("http", "grpc", "prometheus", "grafana")


def cgroup_root(checkout: Checkout) -> str:
    """Where this checkout's pods are in the machine's tree of control groups."""
    return f"/millrace-{checkout.id}"


def node_environment(checkout: Checkout, pause_image: str) -> dict[str, str]:
    """What ``start-node`` is told."""
    return {
        "NODE_NAME": checkout.name("node"),
        "CGROUP_ROOT": cgroup_root(checkout),
        "PAUSE_IMAGE": pause_image,
        "REGISTRY": checkout.registry,
        "REGISTRY_MIRROR": f"http://{registry_name(checkout)}:{REGISTRY_PORT_INSIDE}",
    }


def ensure_cluster(checkout: Checkout, report: Report) -> None:
    """Have this checkout's node run and be ready, and write its kubeconfig (mode 0600).

    A node made from other images or settings than today's is made anew, on its old volume.

    Raises:
        StepFailed: a port is taken, or the node did not become ready; the text says why.
    """
    tag = ensure_image(checkout, NODE, checkout.bin, report)
    pause = published_images(checkout).get(PAUSE.name)
    if pause is None:
        raise StepFailed("the pause image is not in the registry yet; run make up again")
    environment = node_environment(checkout, pause)
    with closing(connect()) as client:
        container = _existing(checkout, client)
        if container is not None and not _is_current(checkout, client, container, tag, environment):
            report.say("the node's image or settings changed: making it anew")
            container.stop(timeout=STOP_SECONDS)
            container.remove(force=True, v=False)
            container = None
        if container is None or container.status != "running":
            for name in (*_NODE_PORTS, "kubernetes"):
                require_port(checkout, checkout.port(name), name)
        if container is None:
            report.say("starting the node")
            container = _create(checkout, client, tag, environment)
        if container.status != "running":
            container.start()
        _wait(container, report)
        write_kubeconfig(checkout, container)
    report.say("node ready")


def _existing(checkout: Checkout, client: DockerClient) -> Container | None:
    try:
        return client.containers.get(checkout.name("node"))
    except NotFound:
        return None


def _is_current(
    checkout: Checkout,
    client: DockerClient,
    container: Container,
    tag: str,
    environment: Mapping[str, str],
) -> bool:
    config, host = container.attrs["Config"], container.attrs["HostConfig"]
    bindings = host["PortBindings"] or {}
    ports = {inside: int(binding[0]["HostPort"]) for inside, binding in bindings.items()}
    return (
        container.attrs["Image"] == client.images.get(tag).id
        and {f"{k}={v}" for k, v in environment.items()} <= set(config["Env"])
        and ports == published_ports(checkout)
    )


def _create(
    checkout: Checkout, client: DockerClient, tag: str, environment: Mapping[str, str]
) -> Container:
    ports = published_ports(checkout)
    client.volumes.create(checkout.name("node"), labels=checkout.labels)
    host_config: dict[str, Any] = client.api.create_host_config(
        cap_add=grantable_capabilities(Path("/proc/self/status").read_text()),
        security_opt=["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
        device_cgroup_rules=["a *:* rwm"],
        cgroupns="host",
        mounts=[
            Mount("/sys/fs/cgroup", "/sys/fs/cgroup", type="bind"),
            Mount("/var/lib", checkout.name("node"), type="volume", no_copy=True),
        ],
        tmpfs={"/run": "exec,mode=755", "/tmp": "exec,mode=1777"},  # noqa: S108 - inside the node
        # One by one, never as a range, and for this machine alone.
        port_bindings={inside: ("127.0.0.1", port) for inside, port in ports.items()},
        ulimits=[{"name": "nofile", "soft": open_files_limit(), "hard": open_files_limit()}],
        log_config={"type": "json-file", "config": {"max-size": "20m", "max-file": "2"}},
        restart_policy={"Name": "unless-stopped"},
        network_mode=ensure_network(checkout, client),
    )
    # What `docker run --security-opt systempaths=unconfined` stands for.
    host_config |= {"MaskedPaths": [], "ReadonlyPaths": []}
    made = client.api.create_container(
        tag,
        name=checkout.name("node"),
        hostname=checkout.name("node"),
        labels=checkout.labels,
        environment=dict(environment),
        ports=[(API_PORT, "tcp"), *((DOCUMENTED_PORTS[name], "tcp") for name in _NODE_PORTS)],
        stop_signal="SIGTERM",
        host_config=host_config,
    )
    return client.containers.get(made["Id"])


def _wait(container: Container, report: Report) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _is_ready(container):
        container.reload()
        said = _last_lines(container)
        restarts = int(container.attrs["RestartCount"])
        if restarts > MOST_RESTARTS or time.monotonic() > deadline:
            lines = "\n".join(f"    {line}" for line in said)
            raise StepFailed(
                f"the node did not become ready (container {container.name} is "
                f"{container.status}, restarted {restarts} times, {READY_SECONDS:.0f} s allowed); "
                f"it last said:\n{lines}\n  all of it: docker logs {container.name}"
            )
        waiting = [line for line in said if line.startswith("start-node: ")]
        report.status = waiting[-1].removeprefix("start-node: ") if waiting else "starting"
        time.sleep(_POLL_SECONDS)  # between two looks at the condition


def _is_ready(container: Container) -> bool:
    try:
        return container.exec_run(["test", "-e", READY_FILE]).exit_code == 0
    except APIError as error:
        if error.status_code == 409:  # noqa: PLR2004 - not running right now
            return False
        raise


def _last_lines(container: Container) -> Sequence[str]:
    # A list of bytes whatever the stubs say: without `stream` the SDK joins them.
    return b"".join(container.logs(tail=40, stream=True, follow=False)).decode(errors="replace").splitlines()


def write_kubeconfig(checkout: Checkout, container: Container) -> None:
    """Write the administrator's kubeconfig for use on this machine, closed to other users.

    Its context is named ``millrace``.
    """
    answer = container.exec_run(["cat", ADMIN_KUBECONFIG])
    if answer.exit_code != 0:
        raise StepFailed(f"no kubeconfig in the node: {answer.output.decode(errors='replace')}")
    inside, outside = f"127.0.0.1:{API_PORT}", f"127.0.0.1:{checkout.port('kubernetes')}"
    draft = checkout.kubeconfig.with_name("kubeconfig.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(answer.output.decode().replace(inside, outside))
    draft.replace(checkout.kubeconfig)


def cluster_status(checkout: Checkout) -> ClusterStatus:
    """How the node is right now."""
    with closing(connect()) as client:
        container = _existing(checkout, client)
        if container is None:
            return ClusterStatus("absent", ready=False)
        return ClusterStatus(container.status, _is_ready(container))


def remove_cluster(checkout: Checkout) -> None:
    """Remove the node with its volume, network and control groups, and the kubeconfig."""
    with closing(connect()) as client:
        if (container := _existing(checkout, client)) is not None:
            with suppress(NotFound):
                container.stop(timeout=STOP_SECONDS)
                container.remove(force=True)
        _remove_cgroups(checkout, client)
        with suppress(NotFound):
            client.volumes.get(checkout.name("node")).remove()
        remove_network(checkout, client)
    checkout.kubeconfig.unlink(missing_ok=True)


def _remove_cgroups(checkout: Checkout, client: DockerClient) -> None:
    """Remove control groups that a killed node left behind; a node that was stopped left none.

    From a container, since the user need not be root and the engine need not be here.
    """
    trees = Path("/sys/fs/cgroup")
    places = [trees, *trees.glob("*")]
    if not any(Path(f"{place}{cgroup_root(checkout)}").is_dir() for place in places):
        return
    images = client.images.list(filters={"label": f"{LABEL}={NODE.name}"})
    if not images:
        return
    script = (
        'find /sys/fs/cgroup -depth -type d -path "/sys/fs/cgroup$CGROUP_ROOT*" '
        '-o -type d -path "/sys/fs/cgroup/*$CGROUP_ROOT*"'
    )
    client.containers.run(
        str(images[0].id),
        entrypoint=["/bin/sh", "-c", f"{script} | sort -r | xargs -r rmdir"],
        environment={"CGROUP_ROOT": cgroup_root(checkout)},
        labels=checkout.labels,
        security_opt=["apparmor=unconfined", "label=disable"],
        cgroupns="host",
        network_mode="none",
        volumes={"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}},
        remove=True,
    )


__all__ = ["ClusterStatus", "cluster_status", "ensure_cluster", "image_tag", "remove_cluster"]
