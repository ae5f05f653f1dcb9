"""ProxySQL: clients of one MySQL server share few connections to it, and reads go to its copies."""

from collections.abc import Sequence
from typing import Final, Self

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field, model_validator

from components.kit import objects, services, volumes
from components.kit.args import Args, Files, Mount, Resources, Text
from components.kit.containers import check_fits
from components.kit.probes import Probes
from components.security.certificate import encoded
from components.servers import server
from components.servers.args import Address, Server, ServerArgs
from components.servers.mysql.config import PORT as MYSQL_PORT
from components.servers.proxysql import config

_UID: Final = 10006
_STARTUP_SECONDS: Final = 300
"""Until its server has been reached once."""
_DRAIN_SECONDS: Final = 20
"""For transactions that are under way, after clients were told to go elsewhere."""
_SETTLE_SECONDS: Final = 150
"""Kubernetes takes up to a minute and a half to bring a changed file to all clients."""
_RUN_SIZE: Final = "64Mi"


class ProxyUser(Args):
    """An account of the server that clients log in as, at the proxy as at the server."""

    name: str
    password: pulumi.Output[str]
    """Secret; it reaches files in memory alone."""


class ProxySQLArgs(ServerArgs):
    """A ProxySQL before one MySQL server. Its object names follow the component's name
    (`telemetry-database-proxy`)."""

    source: Text
    """Host of the server's source."""
    copies: tuple[Text, ...] = ()
    """Hosts of its read-only copies."""
    users: tuple[ProxyUser, ...]
    monitor: ProxyUser
    ca: Files
    """The CA certificates that the servers' must lead to. Other ones roll the proxies: what was
    trusted once stays so as long as a process lives."""
    replacing: bool = False
    """Whether a password takes the place of another: clients get both before it counts here."""
    after: tuple[pulumi.Resource, ...] = ()
    """Who teaches the server the accounts, and hands them out."""
    replicas: int = Field(default=2, ge=1, le=10)
    connections: int = Field(default=10, ge=2)
    """Of one replica, at most: for writes, and as many for reads, on each node."""
    max_clients: int = Field(default=2000, ge=10)
    max_lag_seconds: int = Field(default=60, ge=5)
    """A copy that is further behind answers nothing until it has caught up."""
    threads: int = Field(default=2, ge=1, le=32)
    resources: Resources
    one_per_host: bool = True
    """No host gets two replicas."""

    @model_validator(mode="after")
    def _memory_fits(self) -> Self:
        check_fits("what it keeps in memory", _RUN_SIZE, self.resources, 0.5)
        return self


class ProxySQL(pulumi.ComponentResource):
    """ProxySQL, TLS only on both sides, with an administrator whom only its own pod reaches.

    A change of users, passwords, servers or rules does not roll it: the files change where they are
    mounted, and it reads them again.

    Makes: ConfigMap `<name>-config`, Secret `<name>-routes`, Certificate `<name>-tls`,
    ServiceAccount, Services `<name>-headless` and `<name>`, StatefulSet and PodDisruptionBudget.
    """

    address: Address
    routes: pulumi.Output[str]
    """Name of the routes as they are now, known once their file is."""

    def __init__(
        self, name: str, args: ProxySQLArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:data:ProxySQL", name, None, opts)
        files, self.routes = _routes(name, args, self)
        spec = _spec(args, files)
        hosts = services.host_names(name, args.namespace_name)
        own = replica_hosts(name, replicas=args.replicas, namespace=args.namespace_name)
        tls = server.certificate(
            f"{name}-tls", args, self, common_name=name, dns_names=(*hosts, *own)
        )
        made = server.nodes(name, args, spec, tls.followed, self)
        # Metrics are asked of each pod.
        self.address = server.publish(name, args, spec, made, self, ports={"mysql": config.PORT})
        self.register_outputs({"address": self.address.outputs(), "routes": self.routes})


def replica_hosts(name: str, *, replicas: int, namespace: str = "data") -> list[str]:
    """Where each replica answers by itself."""
    domain = services.replica_domain(name, namespace)
    return [f"{name}-{number}.{domain}" for number in range(replicas)]


def _spec(args: ProxySQLArgs, routes: Files) -> Server:
    return Server(
        component="proxysql",
        uid=_UID,
        replicas=args.replicas,
        command=("bash", f"{config.CONFIG_PATH}/start.sh"),
        env={"LANG": "C.UTF-8"},
        ports={"mysql": config.PORT, "metrics": config.METRICS_PORT},
        config={
            "proxysql.cnf": config.proxysql_cnf(max_clients=args.max_clients, threads=args.threads),
            "start.sh": config.start_script(drain_seconds=_DRAIN_SECONDS),
            "ready.sh": config.probe_script(),
        },
        mounts=(
            Mount(files=routes, path=config.ROUTES_PATH),
            Mount(files=args.ca, path=config.paths.CA),
        ),
        scratch=(
            volumes.scratch("tmp", "/tmp", "16Mi"),  # noqa: S108 - the root is read-only
            volumes.scratch("run", config.RUN_PATH, _RUN_SIZE, memory=True),
        ),
        probes=Probes(
            port="mysql",
            startup_seconds=_STARTUP_SECONDS,
            readiness_command=("bash", f"{config.CONFIG_PATH}/ready.sh"),
        ),
        resources=args.resources,
        storage=None,
        data_path=config.DATA_PATH,
        grace_seconds=_DRAIN_SECONDS + 20,
        one_per_host=args.one_per_host and args.replicas > 1,
    )


def _routes(
    name: str, args: ProxySQLArgs, parent: pulumi.ComponentResource
) -> tuple[Files, pulumi.Output[str]]:
    """The files, which no replica is rolled for, and the name of what is in them."""
    passwords = [user.password for user in (*args.users, args.monitor)]
    known = pulumi.Output.all(passwords, [args.source, *args.copies])
    made = pulumi.Output.secret(known).apply(lambda found: _files(args, *found))
    secret = k8s.core.v1.Secret(
        f"{name}-routes",
        metadata=objects.metadata(
            f"{name}-routes", args.namespace, objects.labels(name, "proxysql")
        ),
        type="Opaque",
        data={
            file: made.apply(lambda found, file=file: encoded(found.texts()[file]))
            for file in config.ROUTE_FILES
        },
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(args.after)),
    )
    version = pulumi.Output.unsecret(made.apply(lambda found: found.version))
    routes = Files(kind="Secret", name=secret.metadata.apply(objects.name_of), version=version)
    there = pulumi.Output.all(version, secret.metadata).apply(lambda known: str(known[0]))
    return routes.followed, there


def _files(args: ProxySQLArgs, passwords: Sequence[str], hosts: Sequence[str]) -> config.Routes:
    *of_users, monitor = passwords
    return config.Routes(
        backends=tuple(
            config.Backend(host=host, port=MYSQL_PORT, writer=number == 0)
            for number, host in enumerate(hosts)
        ),
        passwords=dict(zip((user.name for user in args.users), of_users, strict=True)),
        monitor=monitor,
        connections=args.connections,
        max_lag_seconds=args.max_lag_seconds,
        settle_seconds=_SETTLE_SECONDS if args.replacing else 0,
    )
