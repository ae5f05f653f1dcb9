"""Run-to-completion work: its arguments, specification and pod, whoever starts it."""

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field

from components.kit import containers, hashing, objects, pods
from components.kit.args import Mount, Text
from components.kit.volumes import versions
from components.workloads.processes import BackgroundArgs


class RunArgs(BackgroundArgs):
    """One run-to-completion container. Times in seconds."""

    attempts: int = Field(default=5, ge=1)
    deadline_seconds: int = Field(default=300, ge=10)
    """For all attempts together, image pull included."""


def job_spec(
    name: str,
    args: RunArgs,
    child: pulumi.ResourceOptions,
    after: Mapping[str, Text] | None = None,
) -> k8s.batch.v1.JobSpecArgs:
    """A Job's specification, its ServiceAccount and ConfigMap `<name>-spec` (with a spec) made.

    Args:
        after: more of what its pods are told apart by.
    """
    label = objects.labels(name, args.component)
    pods.service_account(name, objects.metadata(name, args.namespace, label), child)
    more = args.spec_mounts(name, child)
    hashed = {**versions((*args.all_mounts, *more)), **(after or {})}
    return k8s.batch.v1.JobSpecArgs(
        backoff_limit=args.attempts - 1,
        active_deadline_seconds=args.deadline_seconds,
        completions=1,
        parallelism=1,
        template=pods.template(
            args.labels(name), hashing.config_hash(hashed), _pod(name, args, more)
        ),
    )


def _pod(name: str, args: RunArgs, more: tuple[Mount, ...]) -> k8s.core.v1.PodSpecArgs:
    volumes = args.volumes(more)
    return pods.pod(
        name,
        containers=[
            containers.container(
                name,
                image=args.image,
                command=args.command,
                env=containers.variables({"SERVICE_NAME": name, **args.all_env}),
                resources=args.resources,
                volumes=volumes,
            )
        ],
        volumes=volumes,
        uid=args.uid,
        pull_secrets=args.pull_secrets,
        affinity=args.affinity,
        # Each attempt is a pod of its own, so that the logs of a failed one stay readable.
        restart_policy="Never",
    )
