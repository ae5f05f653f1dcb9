"""Pieces every pod shares: labels, security contexts, probes, volumes and the config hash."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi
import pulumi_kubernetes as k8s

from components.kit import paths, rules
from components.kit.args import Mount, Resources, Text

CONFIG_HASH: Final = "millrace.dev/config-hash"
PULUMI_SECONDS: Final = 600
LOWEST_UID: Final = 10001
"""Below it a process could share its uid with an account of the node."""


def labels(name: str, component: str) -> dict[str, str]:
    """The labels of every object of ours; `name` selects, the others describe."""
    return {
        **selector(name),
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "millrace",
        "app.kubernetes.io/managed-by": "pulumi",
    }


def selector(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name}


def metadata(
    name: Text,
    namespace: Text,
    label: Mapping[str, str],
    annotations: Mapping[str, Text] | None = None,
) -> k8s.meta.v1.ObjectMetaArgs:
    return k8s.meta.v1.ObjectMetaArgs(
        name=name, namespace=namespace, labels=dict(label), annotations=annotations or None
    )


def awaited(budget_seconds: int) -> dict[str, Text]:
    """The annotation that makes Pulumi wait for an object as long as its pods may take.

    `budget_seconds` comes on top of the 10 minutes Pulumi grants by itself, which go into
    scheduling, attaching volumes and pulling images.
    """
    return {"pulumi.com/timeoutSeconds": str(PULUMI_SECONDS + budget_seconds)}


def name_of(made: k8s.meta.v1.outputs.ObjectMeta) -> str:
    """The object's name: `resource.metadata.apply(name_of)` waits until the object is there."""
    assert made.name is not None
    return made.name


def config_hash(parts: Mapping[str, Text]) -> pulumi.Output[str]:
    """A hash of everything named, for an annotation that rolls the pods when any of it changes.

    Not secret, though it may depend on secrets: what it hashes of a secret is `Files.version`.
    """
    text = pulumi.Output.json_dumps(dict(parts), sort_keys=True)
    return pulumi.Output.unsecret(text).apply(digest)


def digest(text: str) -> str:
    """The first 16 hex digits of the SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: object) -> Any:
    """Nested resource arguments as dicts and lists (Outputs untouched), fit for hashing."""
    if value is None or isinstance(value, str | int | float | bool | pulumi.Output):
        return cast("Any", value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in cast("Mapping[str, object]", value).items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in cast("Sequence[object]", value)]
    return {key: plain(item) for key, item in vars(value).items()}


def spec_hash(value: object) -> pulumi.Output[str]:
    """A hash of whole resource arguments, 8 hex digits: part of an object's name."""
    text = pulumi.Output.json_dumps(plain(value), sort_keys=True)
    return pulumi.Output.unsecret(text).apply(lambda known: digest(known)[:8])


def pod_security(uid: int) -> k8s.core.v1.PodSecurityContextArgs:
    """Runs as `uid` (and the same gid); mounted Secrets belong to that group.

    Raises:
        ValueError: the uid is reserved for the node's accounts.
    """
    if uid < LOWEST_UID:
        raise ValueError(
            f"uid {uid} may belong to an account of the node, whose files a container escape would "
            f"own; use {LOWEST_UID} or higher"
        )
    return k8s.core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=uid,
        run_as_group=uid,
        fs_group=uid,
        # Walks a big volume's files only when the root's owner is wrong.
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security() -> k8s.core.v1.SecurityContextArgs:
    return k8s.core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        privileged=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
        seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def requirements(resources: Resources) -> k8s.core.v1.ResourceRequirementsArgs:
    return k8s.core.v1.ResourceRequirementsArgs(
        requests={
            "cpu": resources.cpu_request,
            "memory": resources.memory_request,
            "ephemeral-storage": resources.disk_request,
        },
        limits={
            "cpu": resources.cpu_limit,
            "memory": resources.memory_limit,
            "ephemeral-storage": resources.disk_limit,
        },
    )


def pull_secrets(names: Sequence[str]) -> list[k8s.core.v1.LocalObjectReferenceArgs] | None:
    """References to Secrets of the pod's namespace; None when its images are public."""
    return [k8s.core.v1.LocalObjectReferenceArgs(name=name) for name in names] or None


def env(values: Mapping[str, Text]) -> list[k8s.core.v1.EnvVarArgs]:
    return [k8s.core.v1.EnvVarArgs(name=name, value=values[name]) for name in sorted(values)]


def pod_name_env(name: str) -> k8s.core.v1.EnvVarArgs:
    """A variable that holds the pod's own name."""
    return k8s.core.v1.EnvVarArgs(
        name=name,
        value_from=k8s.core.v1.EnvVarSourceArgs(
            field_ref=k8s.core.v1.ObjectFieldSelectorArgs(
                api_version="v1", field_path="metadata.name"
            )
        ),
    )


@dataclass(frozen=True)
class Volume:
    """A volume and where the container sees it."""

    volume: k8s.core.v1.VolumeArgs
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


def files(mount: Mount, sub_path: str | None = None) -> Volume:
    """A Secret or ConfigMap as read-only files; `sub_path` mounts that one key as the file `path`.

    Secrets are readable by root and the pod's group only (0440), which is also the widest mode
    PostgreSQL accepts for its key.
    """
    name = mount.path.removeprefix(f"{paths.ROOT}/").removeprefix("/etc/").replace("/", "-")
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


def check_env(names: Iterable[str]) -> None:
    """Raises ValueError when a variable's name says that its value is a secret."""
    for name in names:
        if name.endswith(("PASSWORD", "SECRET", "TOKEN", "PRIVATE_KEY")):
            raise ValueError(
                f"env {name} would put a secret into the pod's specification, which every reader "
                f"of pods sees; mount it as a file and pass the path in {name}_FILE"
            )


def check_fits(what: str, size: str, resources: Resources, share: float) -> None:
    """Raises ValueError when `size` takes more than `share` of the memory limit."""
    rules.check_share(what, size, "memory_limit", resources.memory_limit, share)
