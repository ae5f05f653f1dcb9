"""The one builder every Python service goes through."""

from collections.abc import Mapping
from typing import Annotated, Final, Self

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field, model_validator

from components.kit import containers, hashing, objects, placement, pods, rules
from components.kit.args import Text
from components.kit.names import BUILDERS_VARIABLES, check_name
from components.kit.probes import Probes
from components.kit.volumes import files, versions
from components.workloads import ports, scaling, sidecars
from components.workloads.ports import Entry, Port
from components.workloads.processes import ProcessArgs
from components.workloads.scaling import Scale
from components.workloads.sidecars import Sidecar

_MARGIN_SECONDS: Final = 5
"""Between the end of the drain and SIGKILL, for what the service does outside its grace time."""


class WorkloadArgs(ProcessArgs):
    """One Python service. Times in seconds. The builder itself sets SERVICE_NAME, <PORT>_PORT and
    SHUTDOWN_GRACE_SECONDS."""

    replicas: Annotated[int, Field(ge=1)] | Scale = 2
    min_available: int | None = None
    """Of the disruption budget of a fixed number. None: one of two, all but one of more, no budget
    for one. A range lets one go at a time."""
    component: str = "service"
    """Label app.kubernetes.io/component."""
    ports: tuple[Port, ...] = Field(default=(Port(name="http", number=8080),), min_length=1)
    health_port: str | None = None
    """Name of the port that probes ask; None: the first. Over gRPC its health service is asked for
    the services `liveness` and `readiness`."""
    entry: Entry | None = None
    """How the ports with an `outside` are reached from there; None: there are none."""
    sidecars: tuple[Sidecar, ...] = ()
    api_token: bool = False
    """Whether pods may talk to the Kubernetes API; what they may do there is for RBAC to say."""
    pod_name_env: tuple[str, ...] = ()
    """Variables that get the pod's name, like RELAY_ID."""
    config: Mapping[str, Text] = {}
    """More of what must roll the pods and be waited for, like a migration Job's `completed`."""
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

    @property
    def health(self) -> Port:
        named = (port for port in self.ports if port.name == self.health_port)
        return next(named, self.ports[0])

    @model_validator(mode="after")
    def _ports_fit(self) -> Self:
        ports.check(self.ports, self.entry)
        names = [port.name for port in self.ports]
        if self.health_port is not None and self.health_port not in names:
            raise ValueError(
                f"health_port is {self.health_port}, so probes would ask a port that is not there; "
                f"use one of {', '.join(names)}"
            )
        return self

    @model_validator(mode="after")
    def _budget_lets_one_go(self) -> Self:
        lowest = self.replicas.min if isinstance(self.replicas, Scale) else self.replicas
        if self.min_available is not None and not 0 < self.min_available < lowest:
            raise ValueError(
                f"min_available is {self.min_available} of {lowest} replicas, so no drain "
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
        own = (*BUILDERS_VARIABLES, *(port.variable for port in self.ports), *self.pod_name_env)
        rules.check_set_once(own)
        for name in own:
            if name in self.all_env:
                raise ValueError(
                    f"env has {name}, which the builder sets itself, and one of the two would be "
                    "ignored; leave it out"
                )
        return self


class Workload(pulumi.ComponentResource):
    """A Deployment with everything a service needs to be rolled, drained and probed safely.

    Makes: ServiceAccount (no token), Deployment, Service (and `<name>-internal` beside a published
    one, for ports that are not), a PDB for two or more replicas, an autoscaler for a range.
    """

    service_name: pulumi.Output[str]
    deployment_name: pulumi.Output[str]
    """Known once the Deployment is available."""

    def __init__(
        self, name: str, args: WorkloadArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:service:Workload", name, None, opts)
        check_name(name)
        sidecars.check(name, args.sidecars, args.all_mounts)
        child = pulumi.ResourceOptions(parent=self)
        label = objects.labels(name, args.component)
        # Pods are replaced one after the other.
        wait = objects.awaited(
            scaling.most(args.replicas) * (args.startup_seconds + args.termination_grace_seconds)
        )
        pods.service_account(name, objects.metadata(name, args.namespace, label), child)
        deployment = k8s.apps.v1.Deployment(
            name,
            metadata=objects.metadata(name, args.namespace, label, wait),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=scaling.first(args.replicas),
                progress_deadline_seconds=objects.PULUMI_SECONDS + args.startup_seconds,
                revision_history_limit=5,
                strategy=k8s.apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(
                        max_unavailable=0, max_surge=1
                    ),
                ),
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=objects.selector(name)),
                template=pods.template(label, _config_hash(args), _pod(name, args)),
            ),
            opts=pulumi.ResourceOptions(
                parent=self, ignore_changes=scaling.left_alone(args.replicas)
            ),
        )
        here = (name, args.namespace, label)
        service = ports.services(*here, child, wait=wait, ports=args.ports, entry=args.entry)
        scaling.build(*here, child, replicas=args.replicas, min_available=args.min_available)
        self.service_name = service.metadata.apply(objects.name_of)
        self.deployment_name = deployment.metadata.apply(objects.name_of)
        self.register_outputs(
            {"service_name": self.service_name, "deployment_name": self.deployment_name}
        )


def _config_hash(args: WorkloadArgs) -> pulumi.Output[str]:
    own = {**args.all_env, **versions(args.all_mounts), **args.config}
    return hashing.config_hash({**own, **sidecars.config(args.sidecars)})


def _pod(name: str, args: WorkloadArgs) -> k8s.core.v1.PodSpecArgs:
    own_env = {
        "SERVICE_NAME": name,
        **{port.variable: str(port.number) for port in args.ports},
        "SHUTDOWN_GRACE_SECONDS": str(args.shutdown_grace_seconds),
    }
    volumes = args.volumes()
    return pods.pod(
        name,
        containers=[
            containers.container(
                name,
                image=args.image,
                command=args.command,
                env=[
                    *containers.variables({**own_env, **args.all_env}),
                    *(containers.pod_name(variable) for variable in args.pod_name_env),
                ],
                ports={port.name: port.number for port in args.ports},
                resources=args.resources,
                watched=Probes(
                    port=args.health.name,
                    grpc_port=args.health.number if args.health.protocol == "grpc" else None,
                    startup_seconds=args.startup_seconds,
                    # Waiting for the database is readiness' affair: a start is over when HTTP
                    # answers.
                    startup_path=args.liveness_path,
                    readiness_path=args.readiness_path,
                    liveness_path=args.liveness_path,
                ),
                volumes=volumes,
                drain_seconds=args.drain_seconds,
            ),
            *sidecars.build(args.sidecars),
        ],
        volumes=[*volumes, *(files(mount) for mount in sidecars.mounts(args.sidecars))],
        uid=args.uid,
        pull_secrets=args.pull_secrets,
        spread=placement.spread(name),
        grace_seconds=args.termination_grace_seconds,
        api_token=args.api_token,
    )
