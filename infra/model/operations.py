"""What operators work with, by name: what backs a database up, restores it and migrates it."""

from infra.model.records import Records
from infra.model.servers import BACKED_UP_WHOLE, Server, dashed


def backed_up(server: Server, database: str) -> str:
    """What a backup is of: the server, or one of its databases."""
    return server.name if server.engine in BACKED_UP_WHOLE else dashed(database)


def backup_job(server: Server, database: str) -> str:
    """The CronJob that takes backups and proves them."""
    return f"{backed_up(server, database)}-backup"


def archiver(server: Server, database: str) -> str:
    """The Deployment that archives the log of changes."""
    return f"{backed_up(server, database)}-archiver"


def restore_job(database: str) -> str:
    """The suspended CronJob that Jobs for restores and drills are made of."""
    return f"{dashed(database)}-restore"


def migrate_job(database: str) -> str:
    """The suspended CronJob that Jobs for migrations by hand are made of."""
    return f"{dashed(database)}-migrate"


def operation(server: Server) -> str:
    """The one Job at a time that an operator runs on a server."""
    return f"{server.name}-operation"


def server_of(records: Records, database: str) -> Server | None:
    """Where a database is; None: no service has one of that name."""
    for server in records.servers:
        if database in records.databases(server=server.name):
            return server
    return None
