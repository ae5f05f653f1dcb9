"""Run-to-completion work the program waits for: migrations and provisioning."""

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field

from components.kit import paths, pods
from components.kit.args import Files, Mount, Text
from components.kit.names import check_name
from components.workloads.processes import ProcessArgs

_AWAIT_MARGIN_SECONDS: Final = 60


class JobArgs(ProcessArgs):
    """One run-to-completion container. Times in seconds."""

    component: str = "job"
    """Label app.kubernetes.io/component."""
    spec: Text | None = None
    """JSON mounted at `paths.SPEC_FILE`. Names files, never holds a secret."""
    after: Mapping[str, Text] = {}
    """What this Job builds on beside its specification, like another Job's `completed`: waited for,
    and a change of any runs this Job again."""
    attempts: int = Field(default=5, ge=1)
    deadline_seconds: int = Field(default=300, ge=10)
    """For all attempts together, image pull included."""


class Job(pulumi.ComponentResource):
    """A Job whose success the program waits for; any change of what it runs makes a new Job.

    A Job's template cannot be changed, and a changed one must run again anyway: so its name ends
    in a hash of the whole specification, and the new Job runs before the old one is deleted.

    Makes: ServiceAccount (no token), ConfigMap `<name>-spec` (with a spec), Job `<name>-<hash>`.
    """

    completed: pulumi.Output[str]
    """The Job's object name, known only once it has succeeded."""

    def __init__(
        self, name: str, args: JobArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:jobs:Job", name, None, opts)
        check_name(name)
        child = pulumi.ResourceOptions(parent=self)
        label = pods.labels(name, args.component)
        k8s.core.v1.ServiceAccount(
            name,
            metadata=pods.metadata(name, args.namespace, label),
            automount_service_account_token=False,
            opts=child,
        )
        more: tuple[Mount, ...] = ()
        if args.spec is not None:
            more = (Mount(files=_spec(name, args, args.spec, child), path=paths.SPEC),)
        hashed = {**pods.versions((*args.all_mounts, *more)), **args.after}
        spec = k8s.batch.v1.JobSpecArgs(
            # No ttlSecondsAfterFinished: a Job that vanished would be drift, and run again.
            backoff_limit=args.attempts - 1,
            active_deadline_seconds=args.deadline_seconds,
            completions=1,
            parallelism=1,
            template=k8s.core.v1.PodTemplateSpecArgs(
                metadata=k8s.meta.v1.ObjectMetaArgs(
                    labels=label,
                    annotations={pods.CONFIG_HASH: pods.config_hash(hashed)},
                ),
                spec=_pod(name, args, args.volumes(more)),
            ),
        )
        job = k8s.batch.v1.Job(
            name,
            metadata=pods.metadata(
                pulumi.Output.concat(name, "-", pods.spec_hash(spec)),
                args.namespace,
                label,
                {
                    "pulumi.com/timeoutSeconds": str(args.deadline_seconds + _AWAIT_MARGIN_SECONDS),
                    # A Job that failed stays failed: the next `up` runs it anew.
                    "pulumi.com/replaceUnready": "true",
                },
            ),
            spec=spec,
            opts=child,
        )
        self.completed = job.metadata.apply(pods.name_of)
        self.register_outputs({"completed": self.completed})


def _spec(name: str, args: JobArgs, text: Text, child: pulumi.ResourceOptions) -> Files:
    made = k8s.core.v1.ConfigMap(
        f"{name}-spec",
        metadata=pods.metadata(f"{name}-spec", args.namespace, pods.labels(name, args.component)),
        data={"spec.json": text},
        opts=child,
    )
    return Files(
        kind="ConfigMap",
        name=made.metadata.apply(pods.name_of),
        version=pods.config_hash({"spec": text}),
    )


def _pod(name: str, args: JobArgs, volumes: list[pods.Volume]) -> k8s.core.v1.PodSpecArgs:
    return k8s.core.v1.PodSpecArgs(
        service_account_name=name,
        automount_service_account_token=False,
        enable_service_links=False,
        image_pull_secrets=pods.pull_secrets(args.pull_secrets),
        # Each attempt is a pod of its own, so that the logs of a failed one stay readable.
        restart_policy="Never",
        security_context=pods.pod_security(args.uid),
        containers=[
            k8s.core.v1.ContainerArgs(
                name=name,
                image=args.image,
                image_pull_policy="IfNotPresent",
                command=list(args.command),
                env=pods.env({"SERVICE_NAME": name, **args.all_env}),
                resources=pods.requirements(args.resources),
                security_context=pods.container_security(),
                volume_mounts=[volume.mount for volume in volumes],
            )
        ],
        volumes=[volume.volume for volume in volumes],
    )
