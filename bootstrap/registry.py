"""The checkout's own container registry: one container, one volume, one loopback port.

There is one at a time. A k3d cluster brings its own, of the same name and at the same port; while
that is there it is used, and whoever removes the cluster removes it too.

Source: Debian's docker-registry (CNCF distribution 2.8), HTTP API V2.
"""

import time
from contextlib import closing, suppress
from typing import Any

import httpx
from docker import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container

from bootstrap.checkout import Checkout
from bootstrap.engine import connect
from bootstrap.images.build import ensure_image
from bootstrap.images.recipes import REGISTRY
from bootstrap.network import bound_ports, ensure_network, port_owner, remove_network, require_port
from bootstrap.steps import Report, StepFailed

PORT_INSIDE = 5000
HEALTHY_SECONDS = 30.0
_POLL_SECONDS = 0.1

__all__ = ["container_name", "ensure_registry", "port_owner", "remove_registry"]


def container_name(checkout: Checkout) -> str:
    """The registry's container; also its host name in the checkout's network."""
    return checkout.name("registry")


def ensure_registry(checkout: Checkout, report: Report) -> None:
    """Have the registry answer at ``checkout.registry``, on the image as it is defined now.

    Raises:
        StepFailed: its port is taken (the text says by whom), or it does not answer.
    """
    tag = ensure_image(checkout, REGISTRY, checkout.bin, report)
    with closing(connect()) as client:
        container = _existing(checkout, client)
        keep = container is not None and (
            _is_k3ds(container) or _is_current(container, client, tag, checkout)
        )
        if container is not None and not keep:
            container.remove(force=True)
            container = None
        if container is None:
            require_port(checkout, checkout.port("registry"), "registry")
            report.say(f"starting the registry at {checkout.registry}")
            container = _start(checkout, client, tag)
        elif container.status != "running":
            require_port(checkout, checkout.port("registry"), "registry")
            container.start()
        _wait(checkout, container, report)


def _existing(checkout: Checkout, client: DockerClient) -> Container | None:
    try:
        return client.containers.get(container_name(checkout))
    except NotFound:
        return None


def _is_k3ds(container: Container) -> bool:
    """Whether k3d made it (its pkg/client/registry.go sets the label) and so has to remove it."""
    return container.labels.get("k3d.role") == "registry"


def _is_current(container: Container, client: DockerClient, tag: str, checkout: Checkout) -> bool:
    """Whether it runs today's image, at the port that is configured now."""
    same_image = container.attrs["Image"] == client.images.get(tag).id
    return same_image and bound_ports(container) == {
        f"{PORT_INSIDE}/tcp": checkout.port("registry")
    }


def _start(checkout: Checkout, client: DockerClient, tag: str) -> Container:
    volume = client.volumes.create(container_name(checkout), labels=checkout.labels)
    containers: Any = client.containers  # its stubs have no overload for a restart policy
    return containers.run(
        tag,
        name=container_name(checkout),
        labels=checkout.labels,
        network=ensure_network(checkout, client),
        # Loopback only: the registry asks nobody for a password.
        ports={f"{PORT_INSIDE}/tcp": ("127.0.0.1", checkout.port("registry"))},
        volumes={str(volume.name): {"bind": "/var/lib/registry", "mode": "rw"}},
        restart_policy={"Name": "unless-stopped", "MaximumRetryCount": 0},
        detach=True,
    )


def _wait(checkout: Checkout, container: Container, report: Report) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    with httpx.Client(trust_env=False, timeout=2) as http:
        while True:
            try:
                if http.get(f"http://{checkout.registry}/v2/").is_success:
                    return
            except httpx.TransportError:
                pass
            container.reload()
            if container.status != "running" or time.monotonic() > deadline:
                said = container.logs(tail=12).decode(errors="replace")
                raise StepFailed(
                    f"the registry does not answer at {checkout.registry} (container "
                    f"{container.name} is {container.status}):\n{said}"
                )
            report.status = "waiting for it to answer"
            time.sleep(_POLL_SECONDS)  # between two looks at the condition


def remove_registry(checkout: Checkout, *, data: bool = False) -> None:
    """Remove the registry's container, and with ``data`` also the images it holds.

    Without ``data`` the next start has them at once: the volume is a cache like the others.
    """
    with closing(connect()) as client:
        if (container := _existing(checkout, client)) is not None:
            container.remove(force=True)
        if data:
            with suppress(NotFound):
                client.volumes.get(container_name(checkout)).remove()
        remove_network(checkout, client)
