"""ProxySQL before a MySQL server, where the stack has it, and what services are told of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi

from components.kit import paths
from components.kit.args import Mount, Text
from components.security.secrets import Password
from components.servers.mysql.server import MySQL
from components.servers.mysql.server import copies as copies_of
from components.servers.proxysql.config import MONITOR_USER
from components.servers.proxysql.server import ProxySQL, ProxySQLArgs, ProxyUser, replica_hosts
from components.workloads.jobs import Job, JobArgs
from infra.model.servers import Server, dashed, proxy
from infra.model.settings import MySQLSettings
from infra.stack.accounts import JOB_SIZE
from infra.stack.convert import once, resources
from infra.stack.foundation import DATA, Foundation

_FOLLOW_SECONDS: Final = 720
"""Beyond what the program itself is willing to wait (two minutes for a replica to answer, seven for
all to follow), so that it is the one who says which did not; an image is pulled meanwhile."""


@dataclass(frozen=True)
class Accounts:
    """Of the server, what a proxy before it knows."""

    services: Mapping[str, Password]
    """By database."""
    monitor: Password


def say_what_is_missing(ground: Foundation) -> None:
    """A notice, where a server would have a ProxySQL if there were an image of it."""
    for record in ground.records.servers:
        without = record.proxied and not ground.settings.proxied(record)
        if without and ground.settings.proxysql.enabled == "given":
            pulumi.log.info(
                f"no image of ProxySQL is given, so services reach {record.name} itself, and its "
                "copies only where they ask for them; give one in images.overrides.proxysql, or "
                "set proxysql.enabled to false to be told no more"
            )


def provide_proxy(
    ground: Foundation,
    record: Server,
    server: MySQL,
    provisioned: Job,
    accounts: Accounts,
) -> Text:
    """Its host, known once all its replicas go by the accounts there are now."""
    users = accounts.services
    settings = ground.settings.proxysql
    name = proxy(record.name)
    mysql = ground.settings.mysql_of(record.name)
    made = ProxySQL(
        name,
        ProxySQLArgs(
            namespace=ground.namespaces.names[DATA],
            namespace_name=DATA,
            image=ground.catalogue.reference("proxysql"),
            pull_secrets=ground.settings.images.pull_secrets,
            authority=ground.authority,
            ca=ground.authority.bundles[DATA],
            source=server.address.host,
            copies=_copies(record, mysql),
            users=tuple(
                ProxyUser(name=f"{database}_user", password=own.value)
                for database, own in users.items()
            ),
            monitor=ProxyUser(name=MONITOR_USER, password=accounts.monitor.value),
            replacing=_replacing(ground, record, users),
            # What it logs in with is known to the server by then.
            after=(provisioned,),
            replicas=settings.replicas,
            connections=settings.connections,
            max_clients=settings.max_clients,
            max_lag_seconds=mysql.max_lag_seconds,
            threads=settings.threads,
            resources=resources(settings.resources),
            one_per_host=ground.settings.kubernetes.spread == "hosts",
        ),
        ground.child,
    )
    return once(made.address.host, _follow(ground, record, made, users).completed)


def _copies(record: Server, settings: MySQLSettings) -> tuple[str, ...]:
    return copies_of(record.name, settings.replicas, DATA)


def _replacing(ground: Foundation, record: Server, users: Mapping[str, Password]) -> bool:
    said = ground.settings.rotation
    return any(
        said.of(f"{record.name}-{dashed(database)}").previous == "accepted" for database in users
    )


def _follow(
    ground: Foundation, record: Server, made: ProxySQL, users: Mapping[str, Password]
) -> Job:
    """The Job that waits until every replica goes by the routes as they are now."""
    name = proxy(record.name)
    return Job(
        f"{name}-follow",
        JobArgs(
            namespace=ground.namespaces.names[DATA],
            image=ground.services_image,
            pull_secrets=ground.settings.images.pull_secrets,
            command=("python", "-m", "services.provision", "proxysql", "--spec", paths.SPEC_FILE),
            resources=JOB_SIZE,
            ca=ground.authority.bundles[DATA],
            component="provisioning",
            deadline_seconds=_FOLLOW_SECONDS,
            spec=pulumi.Output.json_dumps(
                {
                    "hosts": replica_hosts(
                        name, replicas=ground.settings.proxysql.replicas, namespace=DATA
                    ),
                    "port": made.address.port,
                    "ca_file": paths.CA_FILE,
                    "routes": made.routes,
                    "users": [
                        {
                            "name": f"{database}_user",
                            "password_file": f"{paths.secret(dashed(database))}/password",
                        }
                        for database in users
                    ],
                },
                sort_keys=True,
            ),
            mounts=tuple(
                Mount(files=own.files[DATA], path=paths.secret(dashed(database)))
                for database, own in users.items()
            ),
        ),
        ground.child,
    )
