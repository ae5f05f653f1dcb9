"""Sections of a stack file: the cluster, the images, and the way in."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from infra.model.images import IMAGE_NAMES
from infra.model.settings.base import (
    DnsName,
    Identifier,
    ImageReference,
    Settings,
    Stated,
    keys,
    records,
    unknown,
)

NODE_PORTS: Final = range(30000, 32768)


class KubernetesSettings(Settings):
    """Which cluster, and what its volumes are like."""

    context: Stated | None = None
    """Context of the kubeconfig; absent: its current context."""
    cluster_identifier: Identifier | None = None
    """Name under which Pulumi knows the cluster: only a new name replaces the provider and with it
    every object. Absent: the environment's MILLRACE_CLUSTER_ID (the bootstrap's cluster)."""
    storage_class: Stated | None = None
    """StorageClass of every volume claim; absent: the cluster's default class."""
    volume_retention: Literal["Retain", "Delete"] = "Delete"
    """What happens to a StatefulSet's claims when it is deleted or scaled down."""
    spread: Literal["hosts", "prefer"] = "hosts"
    """hosts: no host gets two brokers, two controllers, or two nodes of one MySQL server; what
    finds no host of its own waits. prefer: where hosts are too few they share, so that a single one
    can run several."""


class ImageSettings(Settings):
    """Where container images come from. One entry in `overrides` wins over everything else."""

    source: Literal["official", "local"]
    """official: the catalogue's references (by digest once `make pin` has found them).
    local: the ones `make up` built, listed in the file MILLRACE_IMAGES_FILE names."""
    overrides: Annotated[Mapping[str, ImageReference], keys(IMAGE_NAMES)] = {}
    """Catalogue name to full reference, with a digest or an exact tag. An override of `services`
    or `loadtests` also means that the image is not built here."""

    pull_secrets: tuple[DnsName, ...] = ()
    """Secrets (type kubernetes.io/dockerconfigjson) that open the registry of these images. The
    cluster's owner makes them, by these names in the namespaces data, apps and monitoring, and in
    loadtest if `loadtest.enabled`, in logging if `logs.enabled`; every pod uses them."""

    @field_validator("overrides")
    @classmethod
    def _known_names(cls, overrides: Mapping[str, str]) -> Mapping[str, str]:
        """Every key of `overrides` is a name of the image catalogue."""
        for name in overrides:
            if name not in IMAGE_NAMES:
                raise ValueError(unknown("image", name, IMAGE_NAMES))
        return overrides


class EntrySettings(Settings):
    """How the world reaches the published services."""

    type: Literal["NodePort", "LoadBalancer"] = "NodePort"
    """Of the published Service."""
    host: DnsName = "localhost"
    """Name or address in the URLs this stack puts out."""
    hosts: Mapping[str, DnsName] = {}
    """Entry's name to a host of its own, in place of `host`. Each service behind a LoadBalancer has
    its own address, so one host can lead to one of them."""
    ports: Mapping[str, Annotated[int, Field(ge=1, le=65535)]]
    """Entry's name, as the services' records have it, to its port. NodePort: the port on every
    node; the clusters of `make up` publish 30080, 30081, 30051, 30090 and 30030 on this machine,
    shifted by `PORT_OFFSET`, and no other. LoadBalancer: the port it listens on."""
    tls: bool = False
    """The load balancer ends TLS itself (say how in `annotations`), so URLs are https."""
    annotations: Mapping[str, str] = {}
    """Annotations of the published Service, for the cloud's load balancer controller."""

    @model_validator(mode="after")
    def _port_suits_type(self) -> Self:
        """With `NodePort`, `ports` are from 30000 to 32767, the only ones that the API server
        hands out. `tls` takes `LoadBalancer` and annotations: nothing else here would end TLS."""
        for name, port in self.ports.items():
            if self.type == "NodePort" and port not in NODE_PORTS:
                raise ValueError(
                    f"ports.{name} is {port}, but the API server only hands out node ports from "
                    f"{NODE_PORTS.start} to {NODE_PORTS.stop - 1}; choose one of those, or set "
                    "type to LoadBalancer"
                )
        if self.tls and (self.type == "NodePort" or not self.annotations):
            raise ValueError(
                "tls is true, but nothing would end TLS: it takes type LoadBalancer and the "
                "annotations that give the load balancer its certificate; add them or set tls "
                "to false"
            )
        return self

    @model_validator(mode="after")
    def _host_is_named(self) -> Self:
        """With `LoadBalancer`, `host` is given: only the owner of its DNS name knows it, and the
        default would send everybody to their own machine."""
        if self.type == "LoadBalancer" and "host" not in self.model_fields_set:
            raise ValueError(
                f"type is LoadBalancer, but host is not set, so the URLs put out would lead to "
                f"{self.host}; set host to the name or address that leads to the load balancer"
            )
        return self

    @model_validator(mode="after")
    def _a_host_per_balancer(self, info: ValidationInfo) -> Self:
        """`hosts` names entries that lead to a service. With `LoadBalancer`, no two services have
        entries of one host: each gets a balancer, and a name leads to one of them."""
        population = records(info)
        for name in self.hosts:
            if name not in population.entries():
                raise ValueError(unknown("entry", name, population.entries()))
        owners: dict[str, str] = {}
        for service in population.services if self.type == "LoadBalancer" else ():
            for host in {self.host_of(port.entry) for port in service.ports if port.entry}:
                if host in owners:
                    raise ValueError(
                        f"{owners[host]} and {service.name} would both be at {host}, but each has "
                        "a load balancer of its own; give the entries of one of them another host "
                        "in hosts"
                    )
                owners[host] = service.name
        return self

    @model_validator(mode="after")
    def _a_port_each(self, info: ValidationInfo) -> Self:
        """`ports` has every entry that leads to a service and no other, each with a port of its
        own: the API server gives a node port once, and a URL names one service."""
        wanted = records(info).entries()
        for name in wanted:
            if name not in self.ports:
                raise ValueError(
                    f"ports lacks {name}, which leads to a service; add `{name}:` and its port"
                )
        for name in self.ports:
            if name not in wanted:
                raise ValueError(unknown("entry", name, wanted))
        names: dict[tuple[str, int], str] = {}
        for name, port in self.ports.items():
            place = ("" if self.type == "NodePort" else self.host_of(name), port)
            if place in names:
                raise ValueError(
                    f"ports.{names[place]} and ports.{name} are both {port}, which can lead to one "
                    "of them only; change one"
                )
            names[place] = name
        return self

    def host_of(self, entry: str) -> str:
        return self.hosts.get(entry, self.host)
