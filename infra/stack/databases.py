"""One database of some server: how services reach it, and how it gets its tables first."""

from dataclasses import dataclass, replace

from components.kit import bindings
from components.kit.args import Files, Text
from components.workloads.jobs import Job, JobArgs
from infra.model.servers import Server, dashed
from infra.stack.accounts import JOB_SIZE
from infra.stack.convert import once
from infra.stack.foundation import APPS, Foundation
from infra.stack.operators import Operators


@dataclass(frozen=True)
class Database:
    """One database, reachable as one account."""

    host: Text
    """Known once the database is there (and, after `migrated`, has its tables)."""
    port: Text
    name: str
    user: str
    password: Files
    operators: Operators
    through: Text | None = None
    """Host of the proxy that services reach it by, known likewise. None: there is none."""
    readers_host: Text | None = None
    """Of its read-only copies, known likewise. None: there are none, and reads go to `host`."""
    names_user: bool = False
    """Whether the password's Secret says who logs in with it, in place of `user`."""

    def binding(
        self, pool_size: int, name: str = "database", *, readers: bool = False
    ) -> bindings.Binding:
        return bindings.database(
            host=self.through or (readers and self.readers_host) or self.host,
            port=self.port,
            name=self.name,
            user=self.user,
            password=self.password,
            pool_size=pool_size,
            binding=name,
            names_user=self.names_user,
        )


def migrated(
    ground: Foundation,
    record: Server,
    database: Database,
    owner: Database,
    *,
    deadline_seconds: int,
    incarnation: int,
) -> Database:
    """The database after its migrations, which run as `owner`; whoever connects to the result
    waits for them.

    Expand and contract: a migration runs while pods of the version before are still serving.
    """
    migration = Job(
        f"migrate-{dashed(database.name)}",
        JobArgs(
            namespace=ground.namespaces.names[APPS],
            image=ground.services_image,
            pull_secrets=ground.settings.images.pull_secrets,
            command=migration_program(ground, record, database.name),
            resources=JOB_SIZE,
            ca=ground.authority.bundles[APPS],
            component="migration",
            bindings=(owner.binding(pool_size=1),),
            deadline_seconds=deadline_seconds,
            after={"incarnation": str(incarnation)},
        ),
        ground.child,
    )

    def then(host: Text | None) -> Text | None:
        return None if host is None else once(host, migration.completed)

    return replace(
        database,
        host=once(database.host, migration.completed),
        through=then(database.through),
        readers_host=then(database.readers_host),
    )


def migration_program(ground: Foundation, record: Server, database: str) -> tuple[str, ...]:
    """The command that brings the database to its newest revision."""
    package = ground.records.owner(database)
    program = ("python", "-m", "services.migrate", database)
    return (*program, "--package", package, "--engine", record.engine)
