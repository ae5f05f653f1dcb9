"""PostgreSQL: the servers, and on each a role that owns a migrated database per name."""

from dataclasses import dataclass

import pulumi

from components.kit import bindings, paths
from components.kit.args import Files, Text
from components.servers.postgres.server import Postgres, PostgresArgs
from components.workloads.jobs import Job, JobArgs
from infra.model.servers import Server
from infra.model.settings import PostgresSettings
from infra.stack.accounts import JOB_SIZE, password, provision
from infra.stack.convert import once, resources, storage
from infra.stack.foundation import APPS, DATA, Foundation
from infra.stack.protection import data_options


@dataclass(frozen=True)
class Database:
    """One database, reachable as the role of the same name."""

    host: Text
    """Known once the database is there (and, after `migrated`, has its tables)."""
    port: Text
    name: str
    password: Files

    def binding(self, pool_size: int, name: str = "database") -> bindings.Binding:
        return bindings.database(
            host=self.host,
            port=self.port,
            name=self.name,
            user=self.name,
            password=self.password,
            pool_size=pool_size,
            binding=name,
        )


def provide_databases(ground: Foundation) -> dict[str, Database]:
    """The servers, and by name every database some service asks for, its migrations applied."""
    found: dict[str, Database] = {}
    for record in ground.records.servers:
        if record.engine == "postgres":
            found |= _provide(ground, record, ground.settings.postgres_of(record.name))
    return found


def _provide(ground: Foundation, record: Server, settings: PostgresSettings) -> dict[str, Database]:
    admin = password(ground, f"{record.name}-admin", DATA)
    server = _server(ground, record, settings, admin.files[DATA])
    roles = {
        name: password(ground, f"{record.name}-{name}", DATA, APPS)
        for name in ground.records.databases(server=record.name)
    }
    provisioned = provision(
        ground,
        record,
        spec={
            "host": server.address.host,
            "port": server.address.port,
            "admin_user": "postgres",
            "admin_password_file": f"{paths.secret('admin')}/password",
            "ca_file": paths.CA_FILE,
            "databases": [
                {"name": name, "role": name, "password_file": f"{paths.secret(name)}/password"}
                for name in roles
            ],
        },
        secrets={"admin": admin.files[DATA]} | {n: role.files[DATA] for n, role in roles.items()},
        incarnation=settings.incarnation,
    )
    return {
        name: _migrated(
            ground,
            record,
            settings,
            Database(
                host=once(server.address.host, provisioned.completed),
                port=server.address.port.apply(str),
                name=name,
                password=role.files[APPS],
            ),
        )
        for name, role in roles.items()
    }


def _server(
    ground: Foundation, record: Server, settings: PostgresSettings, admin_password: Files
) -> Postgres:
    return Postgres(
        record.name,
        PostgresArgs(
            namespace=ground.namespaces.names[DATA],
            namespace_name=DATA,
            image=ground.catalogue.reference("postgres"),
            pull_secrets=ground.settings.images.pull_secrets,
            authority=ground.authority,
            admin_password=admin_password,
            resources=resources(settings.resources),
            storage=storage(settings.storage, ground.settings.kubernetes),
            max_connections=settings.max_connections,
            shared_buffers=settings.shared_buffers,
            flushes_per_second=settings.flushes_per_second,
        ),
        data_options(ground.parent, protect=ground.settings.protect),
    )


def _migration(ground: Foundation, record: Server, database: str) -> tuple[str, ...]:
    owner = ground.records.owner(database)
    program = ("python", "-m", "services.migrate", database)
    return (*program, "--package", owner, "--engine", record.engine)


def _migrated(
    ground: Foundation, record: Server, settings: PostgresSettings, database: Database
) -> Database:
    """The database after its migrations; whoever connects to the result waits for them.

    Expand and contract: a migration runs while pods of the version before are still serving.
    """
    migration = Job(
        f"migrate-{database.name}",
        JobArgs(
            namespace=ground.namespaces.names[APPS],
            image=ground.services_image,
            pull_secrets=ground.settings.images.pull_secrets,
            command=_migration(ground, record, database.name),
            resources=JOB_SIZE,
            ca=ground.authority.bundles[APPS],
            component="migration",
            bindings=(database.binding(pool_size=1),),
            deadline_seconds=settings.migration_seconds,
            after={"incarnation": str(settings.incarnation)},
        ),
        ground.child,
    )
    host: pulumi.Output[str] = once(database.host, migration.completed)
    return Database(host=host, port=database.port, name=database.name, password=database.password)
