"""The OpenTelemetry collector: spans of the services, and how Kubernetes' objects are."""

from collections.abc import Mapping
from typing import Annotated, Final

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field

from components.kit import objects, paths
from components.kit.args import Text
from components.kit.probes import Probes
from components.monitoring.collector_config import (
    HEALTH_PORT,
    METRICS_PORT,
    OTLP_PORT,
    OWN_PORT,
    configuration,
)
from components.monitoring.single import STARTUP_SECONDS, Program, SingleArgs, deploy

_UID: Final = 10013
_COMPONENT: Final = "collector"
_FILE: Final = "collector.yaml"
_WATCHED: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("pods", "replicationcontrollers", "resourcequotas", "services"),
    "apps": ("daemonsets", "deployments", "replicasets", "statefulsets"),
    "batch": ("cronjobs", "jobs"),
    "autoscaling": ("horizontalpodautoscalers",),
}
"""API group to resources: the receiver watches all of them, and does not start without one."""


class CollectorArgs(SingleArgs):
    """One collector. Another configuration rolls it."""

    watches: Mapping[str, Text]
    """Namespaces whose objects it tells of: short name to name."""
    watched_names: tuple[str, ...]
    """Their names as plain text, for the configuration."""
    metrics: frozenset[str]
    """Of objects, by the collector's names."""
    kept: Annotated[float, Field(ge=0, le=1)]
    """The share of traces that are kept although nothing failed and nothing was slow."""
    store: str
    """Host and port of where traces are kept: OTLP over gRPC, with TLS."""
    store_inside: bool = True
    """Whether its certificate leads to the internal CA; else to one that the image trusts."""


class Collector(pulumi.ComponentResource):
    """An OpenTelemetry collector that may read, and nothing else, of the namespaces' objects.

    Makes: Certificate `<name>-tls`, ConfigMap `<name>-config`, ServiceAccount, a Role and its
    binding in each namespace, Deployment and Service `<name>`.
    """

    host: pulumi.Output[str]

    def __init__(
        self, name: str, args: CollectorArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:monitoring:Collector", name, None, opts)
        _watch(name, args, self)
        self.host = deploy(name, args, _program(name, args), self)
        self.register_outputs({"host": self.host})


def _program(name: str, args: CollectorArgs) -> Program:
    text = configuration(
        namespaces=args.watched_names,
        metrics=args.metrics,
        kept=args.kept,
        store=args.store,
        store_ca=paths.CA_FILE if args.store_inside else None,
    )
    return Program(
        uid=_UID,
        component=_COMPONENT,
        command=("/otelcol-contrib", f"--config={paths.config(name)}/{_FILE}"),
        ports={
            "otlp": OTLP_PORT,
            "metrics": METRICS_PORT,
            "own": OWN_PORT,
            "health": HEALTH_PORT,
        },
        config={_FILE: text},
        api_token=True,
        probes=Probes(
            port="health",
            startup_seconds=STARTUP_SECONDS,
            startup_path="/",
            readiness_path="/",
            # The same page: it says how the process fares, and asks nobody else.
            liveness_path="/?liveness",
        ),
    )


def _watch(name: str, args: CollectorArgs, parent: pulumi.Resource) -> None:
    child = pulumi.ResourceOptions(parent=parent)
    for short, namespace in args.watches.items():
        metadata = objects.metadata(name, namespace, objects.labels(name, _COMPONENT))
        k8s.rbac.v1.Role(
            f"{name}-{short}",
            metadata=metadata,
            rules=[
                k8s.rbac.v1.PolicyRuleArgs(
                    api_groups=[group], resources=list(kinds), verbs=["get", "list", "watch"]
                )
                for group, kinds in _WATCHED.items()
            ],
            opts=child,
        )
        k8s.rbac.v1.RoleBinding(
            f"{name}-{short}",
            metadata=metadata,
            role_ref=k8s.rbac.v1.RoleRefArgs(
                api_group="rbac.authorization.k8s.io", kind="Role", name=name
            ),
            subjects=[
                k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=name, namespace=args.namespace)
            ],
            opts=child,
        )
