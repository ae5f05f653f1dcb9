"""MySQL: the servers, and on each, per migrated database, an account for services and an owner."""

from components.kit import paths
from components.kit.args import Files, Text
from components.security.secrets import Password
from components.servers.mysql.server import MySQL, MySQLArgs
from components.servers.proxysql.config import MONITOR_USER
from infra.model.servers import BACKUP_USER, EXPORTER_USER, Server, dashed
from infra.model.settings import MySQLSettings
from infra.stack.accounts import administrator, credential, hand_out, password, provision
from infra.stack.convert import once, resources, storage
from infra.stack.databases import Database, migrated
from infra.stack.exporters import Watched
from infra.stack.foundation import DATA, Foundation
from infra.stack.operators import Account, Operators
from infra.stack.protection import data_options
from infra.stack.proxysql import Accounts, provide_proxy, say_what_is_missing


def provide_mysql(ground: Foundation, watched: list[Watched]) -> dict[str, Database]:
    """The servers, and by name every database some service asks for, its migrations applied; what
    asks how they fare is added to `watched`."""
    say_what_is_missing(ground)
    found: dict[str, Database] = {}
    for record in ground.records.servers:
        if record.engine == "mysql":
            found |= _provide(ground, record, ground.settings.mysql_of(record.name), watched)
    return found


def _provide(
    ground: Foundation, record: Server, settings: MySQLSettings, watched: list[Watched]
) -> dict[str, Database]:
    admin = password(ground, f"{record.name}-admin", DATA)
    backup = password(ground, f"{record.name}-backup", DATA)
    server = _server(ground, record, settings, admin.files[DATA].followed)
    databases = ground.records.databases(server=record.name)
    users = {n: password(ground, f"{record.name}-{dashed(n)}", DATA) for n in databases}
    owners = {n: password(ground, f"{record.name}-{dashed(n)}-owner", DATA) for n in databases}
    exporter = password(ground, f"{record.name}-exporter", DATA)
    secrets = {"admin": admin, "backup": backup, "exporter": exporter}
    secrets |= {dashed(n): made for n, made in users.items()}
    secrets |= {f"{dashed(n)}-owner": made for n, made in owners.items()}
    proxied = ground.settings.proxied(record)
    if proxied:
        secrets["monitor"] = password(ground, f"{record.name}-monitor", DATA)

    def account(name: str, what: str) -> dict[str, object]:
        return {"name": name, **credential(ground, f"{record.name}-{what}", what)}

    provisioned = provision(
        ground,
        record,
        spec={
            "host": server.address.host,
            "port": server.address.port,
            **administrator(ground, f"{record.name}-admin"),
            "ca_file": paths.CA_FILE,
            "databases": [
                {
                    "name": name,
                    "user": account(f"{name}_user", dashed(name)),
                    "owner": account(f"{name}_owner", f"{dashed(name)}-owner"),
                }
                for name in databases
            ],
            "backup": account(BACKUP_USER, "backup"),
            "exporter": account(EXPORTER_USER, "exporter"),
            **({"monitor": account(MONITOR_USER, "monitor")} if proxied else {}),
        },
        secrets={what: made.files[DATA] for what, made in secrets.items()},
        incarnation=settings.incarnation,
    )
    watched.append(Watched(record, EXPORTER_USER, exporter, provisioned))

    through = (
        provide_proxy(ground, record, server, provisioned, Accounts(users, secrets["monitor"]))
        if proxied
        else None
    )

    def as_account(name: str, user: str, own: Password, through: Text | None = None) -> Database:
        return Database(
            host=once(server.address.host, provisioned.completed),
            port=server.address.port.apply(str),
            name=name,
            user=user,
            password=hand_out(ground, own, provisioned, both=through is not None).followed,
            through=through,
            # What the Job made is on the copies by the time they are ready: they follow.
            readers_host=once(server.readers.host, provisioned.completed),
            operators=Operators(
                administrator=Account("root", admin.files[DATA].followed),
                backup=Account(BACKUP_USER, backup.files[DATA].followed),
                application=Account(f"{name}_user", users[name].files[DATA].followed),
                migrator=Account(f"{name}_owner", owners[name].files[DATA].followed),
            ),
        )

    return {
        name: migrated(
            ground,
            record,
            as_account(name, f"{name}_user", users[name], through),
            as_account(name, f"{name}_owner", owners[name]),
            deadline_seconds=settings.migration_seconds,
            incarnation=settings.incarnation,
        )
        for name in databases
    }


def _server(
    ground: Foundation, record: Server, settings: MySQLSettings, admin_password: Files
) -> MySQL:
    kubernetes = ground.settings.kubernetes
    return MySQL(
        record.name,
        MySQLArgs(
            namespace=ground.namespaces.names[DATA],
            namespace_name=DATA,
            image=ground.catalogue.reference("mysql"),
            pull_secrets=ground.settings.images.pull_secrets,
            authority=ground.authority,
            admin_password=admin_password,
            resources=resources(settings.resources),
            storage=storage(settings.storage, kubernetes),
            replicas=settings.replicas,
            max_lag_seconds=settings.max_lag_seconds,
            max_connections=settings.max_connections,
            buffer_pool=settings.buffer_pool,
            binlog_retention_hours=settings.binlog_retention_hours,
            one_per_host=kubernetes.spread == "hosts",
        ),
        data_options(ground.parent, protect=ground.settings.protect),
    )
