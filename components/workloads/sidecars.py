"""Helpers that run beside a service in its pod."""

from collections.abc import Mapping
from typing import Annotated

import pulumi_kubernetes as k8s
from pydantic import AfterValidator

from components.kit import containers, rules, volumes
from components.kit.args import Args, Image, Mount, Resources, Text
from components.kit.names import check_label


class Sidecar(Args):
    """A container that starts before the service and stops after it.

    Kubernetes calls that an init container that is always restarted (stable since 1.33, on by
    default since 1.29). It gets no connection, no /tmp and no port of the service's.
    """

    name: Annotated[str, AfterValidator(check_label)]
    image: Image
    command: tuple[str, ...] = ()
    """Empty: the image's own."""
    env: Mapping[str, Text] = {}
    mounts: tuple[Mount, ...] = ()
    resources: Resources


def build(sidecars: tuple[Sidecar, ...]) -> list[k8s.core.v1.ContainerArgs]:
    return [
        containers.container(
            sidecar.name,
            image=sidecar.image,
            command=sidecar.command,
            env=containers.variables(sidecar.env),
            resources=sidecar.resources,
            volumes=[volumes.files(mount) for mount in sidecar.mounts],
            sidecar=True,
        )
        for sidecar in sidecars
    ]


def mounts(sidecars: tuple[Sidecar, ...]) -> tuple[Mount, ...]:
    return tuple(mount for sidecar in sidecars for mount in sidecar.mounts)


def config(sidecars: tuple[Sidecar, ...]) -> dict[str, Text]:
    """What must roll the pods when it changes."""
    variables: dict[str, Text] = {
        f"{sidecar.name}/{name}": value
        for sidecar in sidecars
        for name, value in sidecar.env.items()
    }
    return variables | volumes.versions(mounts(sidecars))


def check(name: str, sidecars: tuple[Sidecar, ...], taken: tuple[Mount, ...]) -> None:
    """Raises ValueError when containers or mounts of one pod have the same name."""
    rules.check_containers(name, (sidecar.name for sidecar in sidecars))
    for sidecar in sidecars:
        rules.check_env(sidecar.env)
    volumes.check_mounts((*taken, *mounts(sidecars)))
