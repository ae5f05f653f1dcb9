"""The one builder of containers: limits, probes and hardening are the same in all of them."""

from collections.abc import Mapping, Sequence

import pulumi_kubernetes as k8s

from components.kit import probes, rules
from components.kit.args import Resources, Text
from components.kit.volumes import Volume


def container(
    name: str,
    *,
    image: Text,
    resources: Resources,
    command: Sequence[str] = (),
    args: Sequence[str] = (),
    env: Sequence[k8s.core.v1.EnvVarArgs] = (),
    ports: Mapping[str, int] | None = None,
    watched: probes.Probes | None = None,
    volumes: Sequence[Volume] = (),
    drain_seconds: int | None = None,
    sidecar: bool = False,
) -> k8s.core.v1.ContainerArgs:
    """One container, without privileges and with a read-only root.

    Args:
        command: instead of the image's entry point, when given; `args` instead of its arguments.
        env: from `variables` and `pod_name`.
        ports: name to number.
        watched: None only for what runs to completion.
        volumes: in the order of their mounts; the pod needs the same ones.
        drain_seconds: preStop sleep, before SIGTERM.
        sidecar: a native one, an init container that is restarted for ever. It has started before
            the main containers do, ends after them, and lets a Job complete without it; a second
            ordinary container would do none of the three.
    """
    watch = probes.build(watched) if watched else None
    return k8s.core.v1.ContainerArgs(
        name=name,
        image=image,
        image_pull_policy="IfNotPresent",
        command=list(command) or None,
        args=list(args) or None,
        env=list(env) or None,
        ports=[
            k8s.core.v1.ContainerPortArgs(name=port, container_port=number, protocol="TCP")
            for port, number in (ports or {}).items()
        ]
        or None,
        resources=requirements(resources),
        security_context=security(),
        startup_probe=watch and watch.startup,
        readiness_probe=watch and watch.readiness,
        liveness_probe=watch and watch.liveness,
        lifecycle=_sleep_first(drain_seconds) if drain_seconds else None,
        restart_policy="Always" if sidecar else None,
        volume_mounts=[volume.mount for volume in volumes] or None,
    )


def _sleep_first(seconds: int) -> k8s.core.v1.LifecycleArgs:
    return k8s.core.v1.LifecycleArgs(
        pre_stop=k8s.core.v1.LifecycleHandlerArgs(
            sleep=k8s.core.v1.SleepActionArgs(seconds=seconds)
        )
    )


def security() -> k8s.core.v1.SecurityContextArgs:
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


def variables(values: Mapping[str, Text]) -> list[k8s.core.v1.EnvVarArgs]:
    """Environment variables, in the order of their names."""
    return [k8s.core.v1.EnvVarArgs(name=name, value=values[name]) for name in sorted(values)]


def pod_name(variable: str) -> k8s.core.v1.EnvVarArgs:
    """A variable that holds the pod's own name."""
    return k8s.core.v1.EnvVarArgs(
        name=variable,
        value_from=k8s.core.v1.EnvVarSourceArgs(
            field_ref=k8s.core.v1.ObjectFieldSelectorArgs(
                api_version="v1", field_path="metadata.name"
            )
        ),
    )


def check_fits(what: str, size: str, resources: Resources, share: float) -> None:
    """Raises ValueError when `size` takes more than `share` of the memory limit."""
    rules.check_share(what, size, "memory_limit", resources.memory_limit, share)
