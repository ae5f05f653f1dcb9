"""What a node container is given: capabilities, ports, mounts, limits, environment.

Sources: Docker Engine API 1.41 (HostConfig); capabilities(7).
"""

import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.models.containers import Container
from docker.types import LogConfig, Mount, Ulimit

from bootstrap.checkout import DOCUMENTED_PORTS, Checkout
from bootstrap.network import ensure_network
from bootstrap.registry import PORT_INSIDE as REGISTRY_PORT_INSIDE
from bootstrap.registry import container_name as registry_name

API_PORT = 6443
NODE_PORTS = ("http", "data", "auth", "grpc", "prometheus", "grafana")
MOST_OPEN_FILES = 1_048_576

# In the kernel's order; Docker 20.10 does not know those added after AUDIT_READ.
CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
    *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ"),
)


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
    ports = {f"{DOCUMENTED_PORTS[name]}/tcp": checkout.port(name) for name in NODE_PORTS}
    return ports | {f"{API_PORT}/tcp": checkout.port("kubernetes")}


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


def create_node(
    checkout: Checkout, client: DockerClient, tag: str, environment: Mapping[str, str]
) -> Container:
    """Create the node's container, with its volume and network; it does not run yet."""
    ports = published_ports(checkout)
    limit = open_files_limit()
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
        ulimits=[Ulimit(name="nofile", soft=limit, hard=limit)],
        log_config=LogConfig(type="json-file", config={"max-size": "20m", "max-file": "2"}),
        restart_policy={"Name": "unless-stopped", "MaximumRetryCount": 0},
        network_mode=ensure_network(checkout, client),
    )
    # What `docker run --security-opt systempaths=unconfined` stands for.
    host_config |= {"MaskedPaths": [], "ReadonlyPaths": []}
    api: Any = client.api  # its stubs leave parameters open
    made = api.create_container(
        tag,
        name=checkout.name("node"),
        hostname=checkout.name("node"),
        labels=checkout.labels,
        environment=dict(environment),
        ports=[(int(inside.partition("/")[0]), "tcp") for inside in ports],
        host_config=host_config,
    )
    return client.containers.get(made["Id"])
