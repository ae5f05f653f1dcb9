"""Kafka in KRaft mode: brokers, and dedicated controllers where asked for."""

from typing import Final, Self

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field, model_validator

from components.kit import rules, services, volumes
from components.kit.args import Args, Files, Resources, Storage
from components.kit.containers import check_fits
from components.kit.probes import Probes
from components.kit.quantities import Quantity, mebibytes
from components.servers import server
from components.servers.args import Server, ServerArgs
from components.servers.kafka import config, scripts
from components.servers.kafka import quorum as kafka_quorum

_UID: Final = 10002
_FIRST_CONTROLLER_ID: Final = 100
_STARTUP_SECONDS: Final = 1800
"""A broker that was killed reads its whole log again before it answers."""
_GRACE_SECONDS: Final = 120
"""Handing all partitions to other brokers and closing the logs cleanly."""


class KafkaNodes(Args):
    """One group of identical Kafka nodes."""

    replicas: int = Field(ge=1)
    heap: Quantity
    resources: Resources
    storage: Storage

    @model_validator(mode="after")
    def _heap_fits(self) -> Self:
        # The rest is for metaspace, threads, network buffers and the page cache it is charged for.
        check_fits("heap", self.heap, self.resources, 0.75)
        return self


class KafkaArgs(ServerArgs):
    """A Kafka cluster. Its object names follow the component's name (`kafka`)."""

    brokers: KafkaNodes
    controllers: KafkaNodes | None = None
    """None: the brokers are controllers too (combined mode). Kafka cannot change over from one to
    the other while it keeps its data."""
    replication_factor: int = Field(default=1, ge=1)
    """Of the internal topics, and the default of others."""
    min_insync_replicas: int = Field(default=1, ge=1)
    retention_hours: int = Field(default=168, ge=1)
    metrics: str | None = None
    """Configuration of the agent that tells Prometheus of a node, where the image has it; None:
    there is none."""
    one_per_host: bool = True
    """No host gets two brokers, or two controllers: losing it must not lose a majority."""

    @model_validator(mode="after")
    def _quorum_can_elect(self) -> Self:
        dedicated = self.controllers.replicas if self.controllers else 0
        rules.check_quorum(brokers=self.brokers.replicas, controllers=dedicated)
        return self

    @model_validator(mode="after")
    def _writes_survive_a_restart(self) -> Self:
        rules.check_copies(
            brokers=self.brokers.replicas,
            factor=self.replication_factor,
            factor_key="replication_factor",
            minimum=self.min_insync_replicas,
            minimum_key="min_insync_replicas",
        )
        return self


class Kafka(pulumi.ComponentResource):
    """A KRaft cluster with TLS everywhere, SCRAM for clients, and authorization deny-by-default.

    Listeners: CLIENT 9092 (SASL_SSL, SCRAM), CONTROLLER 9093 (mTLS), INTERNAL 9094 (mTLS,
    between brokers and for administration). `User:broker` and `User:admin` are super users.

    Makes: ConfigMaps, certificates `<name>-tls` and `<name>-admin-tls`, per node group a headless
    Service, StatefulSet and PDB, and the Service `<name>`.
    """

    bootstrap_servers: pulumi.Output[str]
    """`kafka.data.svc:9092` for clients; known once the brokers are ready."""
    admin_servers: pulumi.Output[str]
    """`kafka-0.kafka-headless.data.svc.cluster.local:9094,…` for administration over mTLS."""
    admin_files: Files
    """Secret with the admin's `tls.crt`, `tls.key` and `ca.crt`, in Kafka's namespace."""

    def __init__(
        self, name: str, args: KafkaArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:data:Kafka", name, None, opts)
        self._args = args
        controllers = f"{name}-controller"
        self._fixed_voters = kafka_quorum.fixed_voters(name)
        groups = (name, controllers) if args.controllers else (name,)
        self._tls = server.certificate(
            f"{name}-tls",
            args,
            self,
            common_name=config.BROKER,
            dns_names=config.dns_names(groups, args.namespace_name),
            client=True,
        )
        self._cluster_id = config.cluster_id(
            pulumi.get_project(), pulumi.get_stack(), args.namespace_name, name
        )
        if args.controllers:
            voters = config.voters(
                controllers, args.namespace_name, args.controllers.replicas, _FIRST_CONTROLLER_ID
            )
            self._nodes(controllers, args.controllers, ("controller",), voters)
            brokers, made = self._nodes(name, args.brokers, ("broker",), voters)
        else:
            voters = config.voters(name, args.namespace_name, args.brokers.replicas, 0)
            brokers, made = self._nodes(name, args.brokers, ("broker", "controller"), voters)
        address = server.publish(
            name,
            args,
            brokers,
            made,
            self,
            ports={"client": config.CLIENT_PORT},
            # One that catches up serves; when all of them do, clients still need a way in.
            not_ready=True,
        )
        hosts = config.pod_hosts(name, args.namespace_name, args.brokers.replicas)
        self.bootstrap_servers = address.host.apply(lambda host: f"{host}:{config.CLIENT_PORT}")
        self.admin_servers = address.once(
            ",".join(f"{host}:{config.INTERNAL_PORT}" for host in hosts)
        )
        self.admin_files = server.certificate(
            f"{name}-admin-tls", args, self, common_name=config.ADMIN, dns_names=(), client=True
        )
        self.register_outputs(
            {
                "bootstrap_servers": self.bootstrap_servers,
                "admin_servers": self.admin_servers,
                "admin_files": self.admin_files.outputs(),
            }
        )

    def _nodes(
        self, name: str, nodes: KafkaNodes, roles: tuple[str, ...], voters: str
    ) -> tuple[Server, k8s.apps.v1.StatefulSet]:
        args = self._args
        ports = config.ports(roles) | ({"metrics": config.METRICS_PORT} if args.metrics else {})
        # A single broker has nobody to catch up with.
        replicated = "broker" in roles and nodes.replicas > 1
        ready = ("bash", f"{config.CONFIG_PATH}/ready.sh")
        caught_up = (scripts.IN_SYNC_FILE,) if replicated else ()
        probed = "internal" if "broker" in roles else "controller"
        domain = services.replica_domain(name, args.namespace_name)
        spec = Server(
            component="kafka",
            uid=_UID,
            replicas=nodes.replicas,
            command=("bash", f"{config.CONFIG_PATH}/start.sh"),
            config={
                "server.properties": config.server_properties(
                    roles=roles,
                    voters=voters,
                    replication_factor=args.replication_factor,
                    min_insync_replicas=args.min_insync_replicas,
                    retention_hours=args.retention_hours,
                ),
                "log4j2.properties": config.log4j2_properties(),
                "client.properties": config.client_properties(),
                **scripts.scripts(),
                **({config.METRICS_FILE: args.metrics} if args.metrics else {}),
            },
            env={
                "CLUSTER_ID": self._cluster_id,
                "FIRST_NODE_ID": "0" if "broker" in roles else str(_FIRST_CONTROLLER_ID),
                "ADVERTISED_DOMAIN": domain if "broker" in roles else "",
                "HEAP_MEBIBYTES": str(mebibytes(nodes.heap)),
                "PROBE_PORT": str(ports[probed]),
                "METRICS_PORT": str(config.METRICS_PORT) if args.metrics else "",
                "REPLICATED": "yes" if replicated else "",
            },
            ports=ports,
            probes=Probes(
                port=probed,
                startup_seconds=_STARTUP_SECONDS,
                startup_command=ready,
                readiness_command=(*ready, *caught_up),
            ),
            resources=nodes.resources,
            storage=nodes.storage,
            data_path=config.DATA_PATH,
            scratch=(volumes.scratch("tmp", "/tmp", "128Mi"),),  # noqa: S108 - the root is read-only
            grace_seconds=_GRACE_SECONDS,
            # For controllers: a broker is ready when it has caught up, but they have no such mark,
            # only their port (docs/decisions/0018).
            settle_seconds=20 if nodes.replicas > 1 else 0,
            one_per_host=args.one_per_host,
        )
        made = server.nodes(name, args, spec, self._tls, self, config_hooks=self._fixed_voters)
        return spec, made
