"""Run-to-completion work on a schedule, and templates of it for whoever starts it by hand."""

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field

from components.kit import objects
from components.kit.names import check_name
from components.workloads import runs
from components.workloads.runs import RunArgs


class CronJobArgs(RunArgs):
    """One run-to-completion container, again and again. Times in seconds."""

    schedule: str
    """Five fields of cron, in UTC."""
    suspended: bool = False
    """Never runs by itself: a template. Jobs made of it by hand run as usual."""
    starting_deadline_seconds: int = Field(default=3600, ge=10)
    """A run that could not begin within it is left out, and the next one is on time."""


class CronJob(pulumi.ComponentResource):
    """A CronJob that never runs twice at once. What changes reaches the next run.

    Makes: ServiceAccount (no token), ConfigMap `<name>-spec` (with a spec), CronJob `<name>`.
    """

    cron_job_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: CronJobArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:jobs:CronJob", name, None, opts)
        check_name(name)
        child = pulumi.ResourceOptions(parent=self)
        label = objects.labels(name, args.component)
        made = k8s.batch.v1.CronJob(
            name,
            metadata=objects.metadata(name, args.namespace, label),
            spec=k8s.batch.v1.CronJobSpecArgs(
                schedule=args.schedule,
                time_zone="Etc/UTC",
                suspend=args.suspended,
                concurrency_policy="Forbid",
                starting_deadline_seconds=args.starting_deadline_seconds,
                # A week of what went wrong, and enough of what went well to compare.
                successful_jobs_history_limit=3,
                failed_jobs_history_limit=7,
                job_template=k8s.batch.v1.JobTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(labels=label),
                    spec=runs.job_spec(name, args, child),
                ),
            ),
            opts=child,
        )
        self.cron_job_name = made.metadata.apply(objects.name_of)
        self.register_outputs({"cron_job_name": self.cron_job_name})
