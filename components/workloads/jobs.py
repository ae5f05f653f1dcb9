"""Run-to-completion work the program waits for: migrations and provisioning."""

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components.kit import hashing, objects
from components.kit.args import Text
from components.kit.names import check_name
from components.workloads import runs
from components.workloads.runs import RunArgs

_AWAIT_MARGIN_SECONDS: Final = 60


class JobArgs(RunArgs):
    """One run-to-completion container. Times in seconds."""

    after: Mapping[str, Text] = {}
    """What this Job builds on beside its specification, like another Job's `completed`: waited for,
    and a change of any runs this Job again."""


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
        # No ttlSecondsAfterFinished: a Job that vanished would be drift, and run again.
        spec = runs.job_spec(name, args, child, args.after)
        job = k8s.batch.v1.Job(
            name,
            metadata=objects.metadata(
                pulumi.Output.concat(name, "-", hashing.spec_hash(spec)),
                args.namespace,
                objects.labels(name, args.component),
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
