"""The one builder every Python service goes through."""

from collections.abc import Mapping
from typing import Final, Literal, Self

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field, model_validator

from components.kit import placement, pods, probes
from components.kit.args import Args, Text
from components.kit.names import check_name
from components.workloads.processes import ProcessArgs

_NODE_PORTS: Final = range(30000, 32768)
_MARGIN_SECONDS: Final = 5
"""Between the end of the drain and SIGKILL, for what the service does outside its grace time."""


class Entry(Args):
    """How the workload's Service is reached; ClusterIP is inside the cluster only."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    port: int = Field(default=80, ge=1, le=65535)
    """The Service's port; it leads to the container's `http_port`."""
    node_port: int | None = None
    annotations: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _node_port_fits(self) -> Self:
        if self.type == "NodePort" and self.node_port is None:
            raise ValueError(
                "node_port is missing, so the cluster would draw another port on every "
                "replacement; give one from 30000 to 32767"
            )
        if self.node_port is not None and self.type != "NodePort":
            raise ValueError(
                f"node_port is {self.node_port}, but type is {self.type}, so nothing would listen "
                "there; set type to NodePort or leave node_port out"
            )
        if self.node_port is not None and self.node_port not in _NODE_PORTS:
            raise ValueError(
                f"node_port {self.node_port} is outside of 30000 to 32767, the only ports the API "
                "server hands out; choose one of those"
            )
        return self


class WorkloadArgs(ProcessArgs):
    """One Python service. Times in seconds. The builder itself sets SERVICE_NAME, HTTP_PORT and
    SHUTDOWN_GRACE_SECONDS."""

    replicas: int = Field(default=2, ge=1)
    min_available: int | None = None
    """Of the disruption budget. None: one of two, all but one of more, no budget for one."""
    component: str = "service"
    """Label app.kubernetes.io/component."""
    entry: Entry = Entry()
    pod_name_env: tuple[str, ...] = ()
    """Variables that get the pod's name, like RELAY_ID."""
    config: Mapping[str, Text] = {}
    """More of what must roll the pods and be waited for, like a migration Job's `completed`."""
    http_port: int = Field(default=8080, ge=1024, le=65535)
    liveness_path: str = "/health"
    readiness_path: str = "/ready"
    startup_seconds: int = Field(default=120, ge=2)
    drain_seconds: int = Field(default=5, ge=1)
    """preStop sleep: time for the endpoint's removal to reach every proxy."""
    termination_grace_seconds: int = 40

    @property
    def shutdown_grace_seconds(self) -> int:
        """What the service itself has for requests in flight after SIGTERM."""
        return self.termination_grace_seconds - self.drain_seconds - _MARGIN_SECONDS

    @model_validator(mode="after")
    def _drains_before_the_kill(self) -> Self:
        if self.shutdown_grace_seconds < 1:
            raise ValueError(
                f"termination_grace_seconds ({self.termination_grace_seconds}) leaves no time "
                f"after drain_seconds ({self.drain_seconds}) and {_MARGIN_SECONDS} s of margin, so "
                "requests in flight would be killed; raise termination_grace_seconds"
            )
        return self

    @model_validator(mode="after")
    def _budget_lets_one_go(self) -> Self:
        if self.min_available is not None and not 0 < self.min_available < self.replicas:
            raise ValueError(
                f"min_available is {self.min_available} of {self.replicas} replicas, so no drain "
                "could ever evict a pod (or the budget protects nothing); set it from 1 to "
                "replicas - 1, raise replicas, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _liveness_is_shallow(self) -> Self:
        if self.liveness_path == self.readiness_path:
            raise ValueError(
                f"liveness_path and readiness_path are both {self.liveness_path}, so a database "
                "outage would restart every pod; give liveness a path that checks the process only"
            )
        return self

    @model_validator(mode="after")
    def _nothing_set_twice(self) -> Self:
        for name in ("SERVICE_NAME", "HTTP_PORT", "SHUTDOWN_GRACE_SECONDS", *self.pod_name_env):
            if name in self.all_env:
                raise ValueError(
                    f"env has {name}, which the builder sets itself, and one of the two would be "
                    "ignored; leave it out"
                )
        return self


class Workload(pulumi.ComponentResource):
    """A Deployment with everything a service needs to be rolled, drained and probed safely.

    Makes: ServiceAccount (no token), Deployment, Service, and a PDB for two or more replicas.
    """

    service_name: pulumi.Output[str]
    deployment_name: pulumi.Output[str]
    """Known once the Deployment is available."""

    def __init__(
        self, name: str, args: WorkloadArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:service:Workload", name, None, opts)
        check_name(name)
        child = pulumi.ResourceOptions(parent=self)
        label = pods.labels(name, args.component)
        # Pods are replaced one after the other.
        wait = pods.awaited(args.replicas * (args.startup_seconds + args.termination_grace_seconds))
        k8s.core.v1.ServiceAccount(
            name,
            metadata=pods.metadata(name, args.namespace, label),
            automount_service_account_token=False,
            opts=child,
        )
        deployment = k8s.apps.v1.Deployment(
            name,
            metadata=pods.metadata(name, args.namespace, label, wait),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=args.replicas,
                progress_deadline_seconds=pods.PULUMI_SECONDS + args.startup_seconds,
                revision_history_limit=5,
                strategy=k8s.apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(
                        max_unavailable=0, max_surge=1
                    ),
                ),
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=pods.selector(name)),
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(
                        labels=label, annotations={pods.CONFIG_HASH: _config_hash(args)}
                    ),
                    spec=_pod(name, args),
                ),
            ),
            opts=child,
        )
        service = k8s.core.v1.Service(
            name,
            metadata=pods.metadata(name, args.namespace, label, {**wait, **args.entry.annotations}),
            spec=k8s.core.v1.ServiceSpecArgs(
                type=args.entry.type,
                selector=pods.selector(name),
                ports=[
                    k8s.core.v1.ServicePortArgs(
                        name="http",
                        port=args.entry.port,
                        target_port="http",
                        node_port=args.entry.node_port,
                        protocol="TCP",
                    )
                ],
            ),
            opts=child,
        )
        if args.replicas > 1:
            wanted = args.min_available or args.replicas - 1
            placement.disruption_budget(name, args.namespace, label, child, min_available=wanted)
        self.service_name = service.metadata.apply(pods.name_of)
        self.deployment_name = deployment.metadata.apply(pods.name_of)
        self.register_outputs(
            {"service_name": self.service_name, "deployment_name": self.deployment_name}
        )


def _config_hash(args: WorkloadArgs) -> pulumi.Output[str]:
    return pods.config_hash({**args.all_env, **pods.versions(args.all_mounts), **args.config})


def _pod(name: str, args: WorkloadArgs) -> k8s.core.v1.PodSpecArgs:
    watched = probes.build(
        probes.Probes(
            port="http",
            startup_seconds=args.startup_seconds,
            # Waiting for the database is readiness' affair: a start is over when HTTP answers.
            startup_path=args.liveness_path,
            readiness_path=args.readiness_path,
            liveness_path=args.liveness_path,
        )
    )
    volumes = args.volumes()
    own_env = {
        "SERVICE_NAME": name,
        "HTTP_PORT": str(args.http_port),
        "SHUTDOWN_GRACE_SECONDS": str(args.shutdown_grace_seconds),
    }
    return k8s.core.v1.PodSpecArgs(
        service_account_name=name,
        automount_service_account_token=False,
        enable_service_links=False,
        image_pull_secrets=pods.pull_secrets(args.pull_secrets),
        security_context=pods.pod_security(args.uid),
        termination_grace_period_seconds=args.termination_grace_seconds,
        topology_spread_constraints=placement.spread(name),
        containers=[
            k8s.core.v1.ContainerArgs(
                name=name,
                image=args.image,
                image_pull_policy="IfNotPresent",
                command=list(args.command),
                env=[
                    *pods.env({**own_env, **args.all_env}),
                    *(pods.pod_name_env(variable) for variable in args.pod_name_env),
                ],
                ports=[
                    k8s.core.v1.ContainerPortArgs(
                        name="http", container_port=args.http_port, protocol="TCP"
                    )
                ],
                resources=pods.requirements(args.resources),
                security_context=pods.container_security(),
                startup_probe=watched.startup,
                readiness_probe=watched.readiness,
                liveness_probe=watched.liveness,
                lifecycle=k8s.core.v1.LifecycleArgs(
                    pre_stop=k8s.core.v1.LifecycleHandlerArgs(
                        sleep=k8s.core.v1.SleepActionArgs(seconds=args.drain_seconds)
                    )
                ),
                volume_mounts=[volume.mount for volume in volumes],
            )
        ],
        volumes=[volume.volume for volume in volumes],
    )
