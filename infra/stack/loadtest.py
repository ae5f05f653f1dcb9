"""The load generator on the cluster, where the stack file asks for one."""

from collections.abc import Iterator

from components.workloads.load_generator import LoadGenerator, LoadGeneratorArgs
from infra.images.own import LOADTESTS, own_image
from infra.model.environment import Environment
from infra.model.objects import APPS, LOADTEST
from infra.model.records import Records
from infra.model.settings import PlatformSettings
from infra.stack.convert import resources
from infra.stack.foundation import Foundation
from infra.stack.urls import url


def provide_load_generator(ground: Foundation, environment: Environment) -> None:
    """What a run on the cluster is made of; nothing where it is not enabled."""
    settings = ground.settings.loadtest
    if not settings.enabled:
        return
    LoadGenerator(
        "load-generator",
        LoadGeneratorArgs(
            namespace=ground.namespaces.names[LOADTEST],
            image=own_image(LOADTESTS, ground.catalogue, environment, ground.child),
            pull_secrets=ground.settings.images.pull_secrets,
            resources=resources(settings.resources),
            workers=settings.workers,
            node_selector=settings.node_selector,
            entries=dict(_entries(ground.records, ground.settings, environment)),
        ),
        ground.child,
    )


def _entries(
    records: Records, settings: PlatformSettings, environment: Environment
) -> Iterator[tuple[str, str]]:
    """Entry to where it is for users on the cluster, who speak HTTP.

    Users come through the load balancer, and so does the load, TLS included. A node port is
    published at a name of the machine's, like localhost, which leads nowhere from a pod: the
    Service behind it is what answers there.
    """
    for service in records.services:
        for port in service.ports:
            if port.entry is None or port.protocol != "http":
                continue
            if settings.entry.type == "LoadBalancer":
                yield port.entry, url(settings.entry, environment, port.entry, port.protocol)
            else:
                inside = "" if port.name == "http" else f":{port.number}"
                yield port.entry, f"http://{service.name}.{APPS}.svc{inside}"
