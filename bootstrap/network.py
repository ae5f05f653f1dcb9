"""The checkout's network of containers, and who holds a host port that we want.

Source: proc(5), /proc/net/tcp and /proc/PID/fd.
"""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from bootstrap.checkout import LABEL, Checkout
from bootstrap.engine import connect
from bootstrap.steps import StepFailed

_LISTEN = "0A"  # TCP state in /proc/net/tcp


def network_name(checkout: Checkout) -> str:
    return checkout.name("network")


def ensure_network(checkout: Checkout, client: DockerClient) -> str:
    """Have the network in which this checkout's containers know each other by name."""
    name = network_name(checkout)
    try:
        client.networks.get(name)
    except NotFound:
        try:
            client.networks.create(name, driver="bridge", labels=checkout.labels)
        except APIError as error:
            if error.status_code != 409:  # another step of this run was faster
                raise
    return name


def remove_network(checkout: Checkout, client: DockerClient) -> None:
    """Remove the network once the checkout's last container has left it."""
    try:
        network = client.networks.get(network_name(checkout))
    except NotFound:
        return
    if not network.containers:
        network.remove()


def port_owner(checkout: Checkout, port: int) -> str | None:
    """Who holds the host port; None if it is free or held by a container of this checkout."""
    try:
        with closing(connect(timeout=10)) as client:
            if found := _container_at(client, checkout, port):
                return found[1] if found[0] != checkout.id else None
    except DockerException:
        pass  # without an engine only processes can hold a port
    listening = listening_inodes(_read("/proc/net/tcp", "/proc/net/tcp6"), port)
    return _process_of(listening) if listening else None


def require_port(checkout: Checkout, port: int, use: str) -> None:
    """Make sure that a container of ours can be published at the port.

    Raises:
        StepFailed: somebody else holds it; the text says who and the way out.
    """
    if owner := port_owner(checkout, port):
        raise StepFailed(
            f"port {port} ({use}) is taken by {owner}; stop it, or shift all of this checkout's "
            f"ports, for example: make up PORT_OFFSET={checkout.port_offset + 100}"
        )


def running_of_others(checkout: Checkout, client: DockerClient) -> list[Container]:
    """The containers that other checkouts run on this machine, but for what k3d makes: that has
    none of our labels."""
    running = _list(client, filters={"label": LABEL})
    return [container for container in running if container.labels[LABEL] != checkout.id]


def stop_others(checkout: Checkout) -> list[str]:
    """Stop the containers of other checkouts, for their ports and their share of the machine.

    Stopped and not removed: ``make up`` of theirs starts them again. Returns their names.
    """
    with closing(connect()) as client:
        others = running_of_others(checkout, client)
        for container in others:
            container.stop()
        return sorted(str(container.name) for container in others)


def _container_at(client: DockerClient, checkout: Checkout, port: int) -> tuple[str, str] | None:
    """The checkout id and the name of the container published at the port."""
    for container in _list(client):
        for bindings in container.ports.values():
            if any(int(binding["HostPort"]) == port for binding in bindings or ()):
                return container.labels.get(LABEL, ""), f"container {container.name}"
    return None


def _list(client: DockerClient, **more: Any) -> list[Container]:
    """Those that run; one may be removed by others between its listing and the look at it."""
    return client.containers.list(ignore_removed=True, **more)


def bound_ports(container: Container) -> dict[str, int]:
    """Container port (``5000/tcp``) to the host port it is to be published at."""
    bindings: Any = container.attrs["HostConfig"]["PortBindings"] or {}
    return {inside: int(bound[0]["HostPort"]) for inside, bound in bindings.items()}


def _read(*paths: str) -> list[str]:
    lines: list[str] = []
    for path in paths:
        try:
            lines += Path(path).read_text().splitlines()[1:]
        except OSError:  # no IPv6, or no /proc
            continue
    return lines


def listening_inodes(table: Iterable[str], port: int) -> set[str]:
    """The sockets that listen at the port, from the lines of /proc/net/tcp."""
    rows = (line.split() for line in table)
    return {
        row[9] for row in rows if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port
    }


def _process_of(inodes: set[str]) -> str:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(_link(descriptor) in wanted for descriptor in (process / "fd").iterdir()):
                return f"process {(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:  # ended meanwhile, or another user's
            continue
    return "a process of another user"


def _link(descriptor: Path) -> str:
    """What it leads to; nothing if it was closed since it was listed, as one of ours always is."""
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""
