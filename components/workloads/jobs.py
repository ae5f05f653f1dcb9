"""Run-to-completion work the program waits for: migrations and provisioning."""

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field

from components.kit import containers, hashing, objects, paths, pods
from components.kit.args import Files, Mount, Text
from components.kit.names import check_name
from components.kit.volumes import Volume, versions
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
        label = objects.labels(name, args.component)
        pods.service_account(name, objects.metadata(name, args.namespace, label), child)
        more: tuple[Mount, ...] = ()
        if args.spec is not None:
            more = (Mount(files=_spec(name, args, args.spec, child), path=paths.SPEC),)
        hashed = {**versions((*args.all_mounts, *more)), **args.after}
        spec = k8s.batch.v1.JobSpecArgs(
            # No ttlSecondsAfterFinished: a Job that vanished would be drift, and run again.
            backoff_limit=args.attempts - 1,
            active_deadline_seconds=args.deadline_seconds,
            completions=1,
            parallelism=1,
            template=pods.template(
                label, hashing.config_hash(hashed), _pod(name, args, args.volumes(more))
            ),
        )
        job = k8s.batch.v1.Job(
            name,
            metadata=objects.metadata(
                pulumi.Output.concat(name, "-", hashing.spec_hash(spec)),
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
        self.completed = job.metadata.apply(objects.name_of)
        self.register_outputs({"completed": self.completed})


def _spec(name: str, args: JobArgs, text: Text, child: pulumi.ResourceOptions) -> Files:
    made = k8s.core.v1.ConfigMap(
        f"{name}-spec",
        metadata=objects.metadata(
            f"{name}-spec", args.namespace, objects.labels(name, args.component)
        ),
        data={"spec.json": text},
        opts=child,
    )
    return Files(
        kind="ConfigMap",
        name=made.metadata.apply(objects.name_of),
        version=hashing.config_hash({"spec": text}),
    )


def _pod(name: str, args: JobArgs, volumes: list[Volume]) -> k8s.core.v1.PodSpecArgs:
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
        # Each attempt is a pod of its own, so that the logs of a failed one stay readable.
        restart_policy="Never",
    )
