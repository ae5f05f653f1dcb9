"""One process that runs all the time and must never run twice, like an archiver."""

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field

from components.kit import containers, hashing, objects, pods
from components.kit.args import Mount
from components.kit.names import check_name
from components.kit.probes import Probes
from components.kit.volumes import versions
from components.workloads.processes import BackgroundArgs

_PORT = "http"


class DaemonArgs(BackgroundArgs):
    """A process that answers /health and /ready at its port. Times in seconds."""

    port: int = 8080
    readiness_path: str = "/ready"
    startup_seconds: int = Field(default=120, ge=2)
    grace_seconds: int = Field(default=30, ge=1)


class Daemon(pulumi.ComponentResource):
    """A Deployment of one pod: the old one is gone before the next one starts.

    No Service, as nobody calls it, and no disruption budget: on one pod it would block every drain
    or none.

    Makes: ServiceAccount (no token), ConfigMap `<name>-spec` (with a spec), Deployment `<name>`.
    """

    deployment_name: pulumi.Output[str]
    """Known once the Deployment is available."""

    def __init__(
        self, name: str, args: DaemonArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:service:Daemon", name, None, opts)
        check_name(name)
        child = pulumi.ResourceOptions(parent=self)
        label = objects.labels(name, args.component)
        pods.service_account(name, objects.metadata(name, args.namespace, label), child)
        more = args.spec_mounts(name, child)
        hashed = {**args.all_env, **versions((*args.all_mounts, *more))}
        deployment = k8s.apps.v1.Deployment(
            name,
            metadata=objects.metadata(
                name,
                args.namespace,
                label,
                objects.awaited(args.startup_seconds + args.grace_seconds),
            ),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=1,
                progress_deadline_seconds=objects.PULUMI_SECONDS + args.startup_seconds,
                revision_history_limit=5,
                strategy=k8s.apps.v1.DeploymentStrategyArgs(type="Recreate"),
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=objects.selector(name)),
                template=pods.template(
                    args.labels(name), hashing.config_hash(hashed), _pod(name, args, more)
                ),
            ),
            opts=child,
        )
        self.deployment_name = deployment.metadata.apply(objects.name_of)
        self.register_outputs({"deployment_name": self.deployment_name})


def _pod(name: str, args: DaemonArgs, more: tuple[Mount, ...]) -> k8s.core.v1.PodSpecArgs:
    volumes = args.volumes(more)
    return pods.pod(
        name,
        containers=[
            containers.container(
                name,
                image=args.image,
                command=args.command,
                env=containers.variables({"SERVICE_NAME": name, **args.all_env}),
                ports={_PORT: args.port},
                resources=args.resources,
                watched=Probes(
                    port=_PORT,
                    startup_seconds=args.startup_seconds,
                    startup_path="/health",
                    readiness_path=args.readiness_path,
                    liveness_path="/health",
                ),
                volumes=volumes,
            )
        ],
        volumes=volumes,
        uid=args.uid,
        pull_secrets=args.pull_secrets,
        affinity=args.affinity,
        grace_seconds=args.grace_seconds,
    )
