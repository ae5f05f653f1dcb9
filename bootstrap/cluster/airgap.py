"""A Kubernetes cluster in one container, for machines that reach package registries alone.

No ``--privileged``: the container gets every capability that this machine can give, by name,
and starts on control groups of version 1 and 2, with or without systemd. What runs inside is
told by ``bootstrap/images/node/start-node``.
"""

import os
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from bootstrap.checkout import Checkout
from bootstrap.cluster.node import (
    API_PORT,
    NODE_PORTS,
    cgroup_root,
    create_node,
    node_environment,
    published_ports,
)
from bootstrap.engine import connect, read_file
from bootstrap.images.build import ensure_image
from bootstrap.images.publish import published_images
from bootstrap.images.recipes import LABEL, NODE, PAUSE
from bootstrap.network import bound_ports, remove_network, require_port
from bootstrap.steps import Report, StepFailed

READY_FILE = "/run/millrace/ready"
ADMIN_KUBECONFIG = "/var/lib/millrace/pki/admin.kubeconfig"
READY_SECONDS = 180.0
STOP_SECONDS = 15
MOST_RESTARTS = 3
_POLL_SECONDS = 0.2


# A group whose last process is still being buried cannot go yet: try for five seconds.
_REMOVE_CGROUPS = """
groups() { ls -d "/sys/fs/cgroup$CGROUP_ROOT" /sys/fs/cgroup/*"$CGROUP_ROOT" 2> /dev/null; }
for try in $(seq 25); do
  for group in $(groups); do find "$group" -depth -type d -exec rmdir {} + 2> /dev/null; done
  [ -z "$(groups)" ] && exit 0
  sleep 0.2
done
echo "still in use: $(groups)"
exit 1
"""


@dataclass(frozen=True)
class ClusterStatus:
    """How the node container is: ``absent``, or what the engine calls it; and if it is ready."""

    state: str
    ready: bool


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
            for name in (*NODE_PORTS, "kubernetes"):
                require_port(checkout, checkout.port(name), name)
        if container is None:
            report.say("starting the node")
            container = create_node(checkout, client, tag, environment)
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
    return (
        container.attrs["Image"] == client.images.get(tag).id
        and {f"{k}={v}" for k, v in environment.items()} <= set(container.attrs["Config"]["Env"])
        and bound_ports(container) == published_ports(checkout)
    )


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
        if error.status_code == 409:  # it does not run right now
            return False
        raise


def _last_lines(container: Container) -> list[str]:
    said = b"".join(container.logs(tail=40, stream=True, follow=False))
    return said.decode(errors="replace").splitlines()


def write_kubeconfig(checkout: Checkout, container: Container) -> None:
    """Write the administrator's kubeconfig for use on this machine, closed to other users.

    Its context is named ``millrace``.
    """
    inside, outside = f"127.0.0.1:{API_PORT}", f"127.0.0.1:{checkout.port('kubernetes')}"
    draft = checkout.kubeconfig.with_name("kubeconfig.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(read_file(container, ADMIN_KUBECONFIG).decode().replace(inside, outside))
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
            container.remove(force=True)  # its data goes too, so nothing need end in good order
        with suppress(NotFound):
            client.volumes.get(checkout.name("node")).remove()
        remove_network(checkout, client)
        _remove_cgroups(checkout, client)
    checkout.kubeconfig.unlink(missing_ok=True)


def _remove_cgroups(checkout: Checkout, client: DockerClient) -> None:
    """Remove the control groups that outlive a killed node.

    From a container, since the user need not be root and the engine need not be here.
    """
    trees = Path("/sys/fs/cgroup")
    places = [trees, *trees.glob("*")]
    if not any(Path(f"{place}{cgroup_root(checkout)}").is_dir() for place in places):
        return
    images = client.images.list(filters={"label": f"{LABEL}={NODE.name}"})
    if not images:
        return
    client.containers.run(
        str(images[0].id),
        entrypoint=["/bin/sh", "-c", _REMOVE_CGROUPS],
        environment={"CGROUP_ROOT": cgroup_root(checkout)},
        labels=checkout.labels,
        security_opt=["apparmor=unconfined", "label=disable"],
        cgroupns="host",
        network_mode="none",
        volumes={"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}},
        remove=True,
    )


def has_data(checkout: Checkout) -> bool:
    """Whether a cluster's data is there, be its node running, stopped or lost with the engine."""
    with closing(connect()) as client:
        try:
            client.volumes.get(checkout.name("node"))
        except NotFound:
            return False
    return True
