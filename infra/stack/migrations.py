"""Templates of migrations by hand; those that an `up` runs are Jobs of their own."""

from collections.abc import Mapping

from components.kit import bindings
from components.workloads.cronjob import CronJob, CronJobArgs
from infra.model import operations
from infra.model.servers import DATABASE_ENGINES, Server
from infra.stack.accounts import JOB_SIZE
from infra.stack.databases import Database, migration_program
from infra.stack.foundation import DATA, Foundation

_NEVER = "0 0 1 1 *"
"""A suspended CronJob has to have a schedule, too."""


def provide_migrations(ground: Foundation, databases: Mapping[str, Database]) -> None:
    """Of every database a suspended CronJob; who migrates says in the Job made of it where to."""
    for server in ground.records.servers:
        if server.engine in DATABASE_ENGINES:
            for name in ground.records.databases(server=server.name):
                _provide(ground, server, databases[name])


def _provide(ground: Foundation, server: Server, database: Database) -> None:
    migrator = database.operators.migrator
    CronJob(
        operations.migrate_job(database.name),
        CronJobArgs(
            namespace=ground.namespaces.names[DATA],
            image=ground.services_image,
            pull_secrets=ground.settings.images.pull_secrets,
            command=migration_program(ground, server, database.name),
            resources=JOB_SIZE,
            ca=ground.authority.bundles[DATA],
            component="migration",
            bindings=(
                bindings.database(
                    host=database.host,
                    port=database.port,
                    name=database.name,
                    user=migrator.user,
                    password=migrator.password,
                    pool_size=1,
                    names_user=migrator.names_user,
                ),
            ),
            attempts=1,
            deadline_seconds=ground.settings.migration_seconds_of(server),
            schedule=_NEVER,
            suspended=True,
        ),
        ground.child,
    )
