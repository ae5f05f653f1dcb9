"""What every server has in common: TLS, a configuration, a volume and an address.

A new server brings its texts and a component. The texts (`config.py`, and scripts as files of
their own, filled by `kit.scripts`) say how the server listens with TLS only, where its data lies
and whom it lets in. The component has arguments derived from `ServerArgs` and, in its `__init__`,
`server.serve(name, args, Server(…), self)`, whose `Address` it registers. Beside that,
`tests/harness/platforms.py` builds it once, `tests/harness/checks.py` learns to read from its
configuration that it speaks TLS only, and a stack gives it images, sizes and accounts.

A server of several node groups, like Kafka, calls the parts of `serve` itself.
"""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_kubernetes as k8s

from components.kit import (
    containers,
    hashing,
    objects,
    paths,
    placement,
    pods,
    services,
    stateful,
    volumes,
)
from components.kit.args import Files, Mount
from components.kit.names import check_name
from components.kit.volumes import Volume
from components.security.certificate import Certificate, CertificateArgs
from components.servers.args import Address, Server, ServerArgs


def serve(name: str, args: ServerArgs, server: Server, parent: pulumi.ComponentResource) -> Address:
    """Certificate `<name>-tls`, the nodes, and the Service `<name>` that leads to them.

    The nodes are not rolled for another certificate: they have to read it again while they run.
    """
    names = tuple(services.host_names(name, args.namespace_name))
    tls = certificate(f"{name}-tls", args, parent, common_name=name, dns_names=names)
    made = nodes(name, args, server, tls.followed, parent)
    return publish(name, args, server, made, parent)


def certificate(
    name: str,
    args: ServerArgs,
    parent: pulumi.ComponentResource,
    *,
    common_name: str,
    dns_names: tuple[str, ...],
    client: bool = False,
) -> Files:
    """The Secret `name` with a certificate for those names; `client`: to show to others, too."""
    server = ("server",) if dns_names else ()
    return Certificate(
        name,
        CertificateArgs(
            authority=args.authority,
            namespace=args.namespace,
            secret_name=name,
            common_name=common_name,
            dns_names=dns_names,
            usages=(*server, "client") if client else server,
        ),
        opts=pulumi.ResourceOptions(parent=parent),
    ).files


def nodes(
    name: str,
    args: ServerArgs,
    server: Server,
    tls: Files,
    parent: pulumi.ComponentResource,
    *,
    config_hooks: pulumi.ResourceHookBinding | None = None,
    after: pulumi.Resource | None = None,
) -> k8s.apps.v1.StatefulSet:
    """ServiceAccount, ConfigMap `<name>-config`, headless Service, StatefulSet and PDB; of nodes
    that are made and rolled `after` others, those are ready before."""
    check_name(name)
    child = pulumi.ResourceOptions(parent=parent)
    if after is not None:
        child = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[after]))
    label = objects.labels(name, server.component)
    pods.service_account(name, objects.metadata(name, args.namespace, label), child)
    made = _config(name, args, server, parent, config_hooks)
    config = made.followed if server.follows_config else made
    mounts = (
        Mount(files=config, path=paths.config(server.component)),
        Mount(files=tls, path=paths.TLS),
        *server.mounts,
    )
    seen = [
        *server.scratch,
        *(volumes.files(mount) for mount in mounts),
        *(
            volumes.files(Mount(files=config, path=path), sub_path=key)
            for key, path in server.single_files.items()
        ),
    ]
    template = pods.template(
        label,
        hashing.config_hash(volumes.versions((*mounts, *server.sidecar_mounts))),
        _pod(name, args, server, seen),
    )
    return stateful.stateful_set(
        name,
        args.namespace,
        label,
        template,
        child,
        replicas=server.replicas,
        ports=server.ports,
        storage=server.storage,
        settle_seconds=server.settle_seconds,
        rollout_seconds=server.rollout_seconds,
    )


def _config(
    name: str,
    args: ServerArgs,
    server: Server,
    parent: pulumi.ComponentResource,
    hooks: pulumi.ResourceHookBinding | None,
) -> Files:
    made = k8s.core.v1.ConfigMap(
        f"{name}-config",
        metadata=objects.metadata(
            f"{name}-config", args.namespace, objects.labels(name, server.component)
        ),
        data=dict(server.config),
        opts=pulumi.ResourceOptions(parent=parent, hooks=hooks),
    )
    return Files(
        kind="ConfigMap",
        name=made.metadata.apply(objects.name_of),
        version=hashing.config_hash(server.config),
    )


def _pod(
    name: str, args: ServerArgs, server: Server, seen: Sequence[Volume]
) -> k8s.core.v1.PodSpecArgs:
    data = (
        volumes.claimed(stateful.DATA, server.data_path)
        if server.storage
        else volumes.scratch(stateful.DATA, server.data_path, server.resources.disk_limit)
    )
    main = containers.container(
        name,
        image=args.image,
        command=server.command,
        env=[containers.pod_name("POD_NAME"), *containers.variables(server.env)],
        ports=server.ports,
        resources=server.resources,
        watched=server.probes,
        volumes=[data, *seen],
    )
    return pods.pod(
        name,
        containers=[main, *server.sidecars],
        volumes=[*seen, data, *(volumes.files(mount) for mount in server.sidecar_mounts)],
        uid=server.uid,
        pull_secrets=args.pull_secrets,
        spread=placement.spread(name, hosts=server.replicas if server.one_per_host else 0),
        affinity=placement.apart(server.apart_from) if server.apart_from else None,
        grace_seconds=server.grace_seconds,
        api_token=server.api_token,
    )


def publish(
    name: str,
    args: ServerArgs,
    server: Server,
    made: k8s.apps.v1.StatefulSet,
    parent: pulumi.ComponentResource,
    *,
    ports: Mapping[str, int] | None = None,
    not_ready: bool | None = None,
    replica: str | None = None,
    node_ports: Mapping[str, int] | None = None,
) -> Address:
    """The Service `<name>`: to all ports unless some are given, to ready replicas unless to all or
    to one alone, and by `node_ports` from outside as well."""
    offered = server.ports if ports is None else ports
    service = services.cluster_service(
        name,
        args.namespace,
        objects.labels(name, server.component),
        offered,
        pulumi.ResourceOptions(parent=parent),
        startup_seconds=server.probes.startup_seconds,
        publish_not_ready=not_ready,
        replica=replica,
        node_ports=node_ports,
    )
    host = services.host_name(name, args.namespace_name)
    return Address(
        host=pulumi.Output.all(made.metadata, service.metadata).apply(lambda _: host),
        port=pulumi.Output.from_input(next(iter(offered.values()))),
    )
