"""Volumes, and where containers see them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import pulumi_kubernetes as k8s

from components.kit import paths
from components.kit.args import Mount, Text

NODE_LOGS: Final = "/var/log/pods"
"""Where a node keeps what its pods write: a folder `<namespace>_<pod>_<uid>` for each, with one of
every container."""
NODE_LOGS_GROUP: Final = 0
"""Who may read those files beside their owner, root: its group. It is no privilege of any other
kind."""


@dataclass(frozen=True)
class Volume:
    """A volume and where the container sees it."""

    volume: k8s.core.v1.VolumeArgs | None
    """None: a StatefulSet's claim."""
    mount: k8s.core.v1.VolumeMountArgs


def scratch(name: str, path: str, size: str, *, memory: bool = False) -> Volume:
    """A writable directory that lives as long as the pod; `memory` counts against its limit."""
    return Volume(
        k8s.core.v1.VolumeArgs(
            name=name,
            empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(
                size_limit=size, medium="Memory" if memory else None
            ),
        ),
        k8s.core.v1.VolumeMountArgs(name=name, mount_path=path),
    )


def node_logs() -> Volume:
    """The node's own files of all its pods' logs, read-only: for the one that collects them."""
    return Volume(
        k8s.core.v1.VolumeArgs(
            name="node-logs",
            host_path=k8s.core.v1.HostPathVolumeSourceArgs(path=NODE_LOGS, type="Directory"),
        ),
        k8s.core.v1.VolumeMountArgs(name="node-logs", mount_path=NODE_LOGS, read_only=True),
    )


def claimed(name: str, path: str) -> Volume:
    """The StatefulSet's claim of that name."""
    return Volume(None, k8s.core.v1.VolumeMountArgs(name=name, mount_path=path))


def claim(name: str, path: str, claim_name: Text) -> Volume:
    """A claim with a name of its own, writable."""
    return Volume(
        k8s.core.v1.VolumeArgs(
            name=name,
            persistent_volume_claim=k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(
                claim_name=claim_name
            ),
        ),
        k8s.core.v1.VolumeMountArgs(name=name, mount_path=path),
    )


def files(mount: Mount, sub_path: str | None = None) -> Volume:
    """A Secret or ConfigMap as read-only files; `sub_path` mounts that one key as the file `path`.

    Secrets are readable by root and the pod's group only (0440), which is also the widest mode
    PostgreSQL accepts for its key.
    """
    own = mount.path.removeprefix(f"{paths.ROOT}/").removeprefix("/etc/")
    name = own.replace("/", "-").replace(".", "-")
    source = (
        k8s.core.v1.VolumeArgs(
            name=name,
            secret=k8s.core.v1.SecretVolumeSourceArgs(
                secret_name=mount.files.name, default_mode=0o440
            ),
        )
        if mount.files.kind == "Secret"
        else k8s.core.v1.VolumeArgs(
            name=name,
            config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(
                name=mount.files.name, default_mode=0o444
            ),
        )
    )
    return Volume(
        source,
        k8s.core.v1.VolumeMountArgs(
            name=name, mount_path=mount.path, read_only=True, sub_path=sub_path
        ),
    )


def versions(mounts: Iterable[Mount]) -> dict[str, Text]:
    """Path to content version, for the config hash."""
    return {mount.path: mount.files.version for mount in mounts}


def check_mounts(mounts: Iterable[Mount]) -> None:
    """Raises ValueError when two mounts share a path."""
    seen: set[str] = set()
    for mount in mounts:
        if mount.path in seen:
            raise ValueError(
                f"mounts has {mount.path} twice, and the API server refuses such a pod; give each "
                "mount its own path"
            )
        seen.add(mount.path)
