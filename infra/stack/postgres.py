"""PostgreSQL: the servers, and on each a role that owns a migrated database per name."""

from components.kit import paths
from components.kit.args import Files
from components.kit.bindings import USERNAME
from components.security.secrets import Password
from components.servers.postgres.server import Postgres, PostgresArgs
from infra.model.servers import BACKUP_USER, EXPORTER_USER, Server, dashed, login
from infra.model.settings import PostgresSettings
from infra.stack.accounts import administrator, credential, hand_out, password, provision
from infra.stack.convert import once, resources, storage
from infra.stack.databases import Database, migrated
from infra.stack.exporters import Watched
from infra.stack.foundation import DATA, Foundation
from infra.stack.operators import Account, Operators
from infra.stack.protection import data_options


def provide_postgres(ground: Foundation, watched: list[Watched]) -> dict[str, Database]:
    """The servers, and by name every database some service asks for, its migrations applied; what
    asks how they fare is added to `watched`."""
    found: dict[str, Database] = {}
    for record in ground.records.servers:
        if record.engine == "postgres":
            found |= _provide(ground, record, ground.settings.postgres_of(record.name), watched)
    return found


def _provide(
    ground: Foundation, record: Server, settings: PostgresSettings, watched: list[Watched]
) -> dict[str, Database]:
    admin = password(ground, f"{record.name}-admin", DATA)
    backup = _in_turns(ground, record, BACKUP_USER, "backup")
    exporter = _in_turns(ground, record, EXPORTER_USER, "exporter")
    server = _server(ground, record, settings, admin.files[DATA].followed)
    roles = {
        name: _in_turns(ground, record, name, dashed(name))
        for name in ground.records.databases(server=record.name)
    }
    provisioned = provision(
        ground,
        record,
        spec={
            "host": server.address.host,
            "port": server.address.port,
            "admin_user": "postgres",
            **administrator(ground, f"{record.name}-admin"),
            "ca_file": paths.CA_FILE,
            "databases": [
                {"name": name, "role": name, **_login(ground, record, name, dashed(name))}
                for name in roles
            ],
            "backup": {
                "user": BACKUP_USER,
                **_login(ground, record, BACKUP_USER, "backup"),
            },
            "exporter": {
                "user": EXPORTER_USER,
                **_login(ground, record, EXPORTER_USER, "exporter"),
            },
        },
        secrets={
            "admin": admin.files[DATA],
            "backup": backup.files[DATA],
            "exporter": exporter.files[DATA],
        }
        | {dashed(n): role.files[DATA] for n, role in roles.items()},
        incarnation=settings.incarnation,
    )
    who = login(EXPORTER_USER, ground.settings.rotation.of(f"{record.name}-exporter").generation)
    watched.append(Watched(record, who, exporter, provisioned))
    found: dict[str, Database] = {}
    for name, role in roles.items():
        database = Database(
            host=once(server.address.host, provisioned.completed),
            port=server.address.port.apply(str),
            name=name,
            user=name,
            password=hand_out(ground, role, provisioned).followed,
            operators=Operators(
                administrator=Account("postgres", admin.files[DATA].followed),
                backup=Account(BACKUP_USER, backup.files[DATA].followed, names_user=True),
                application=Account(name, role.files[DATA].followed, names_user=True),
                migrator=Account(name, role.files[DATA].followed, names_user=True),
            ),
            names_user=True,
        )
        found[name] = migrated(
            ground,
            record,
            database,
            # The role that owns it.
            database,
            deadline_seconds=settings.migration_seconds,
            incarnation=settings.incarnation,
        )
    return found


def _in_turns(ground: Foundation, record: Server, role: str, what: str) -> Password:
    """The password of a role that logs in in turns with its second one."""
    name = f"{record.name}-{what}"
    beside = {USERNAME: login(role, ground.settings.rotation.of(name).generation)}
    return password(ground, name, DATA, beside=beside)


def _login(ground: Foundation, record: Server, role: str, what: str) -> dict[str, object]:
    """As a provisioning spec names it."""
    name = f"{record.name}-{what}"
    who = login(role, ground.settings.rotation.of(name).generation)
    return {"login": who, **credential(ground, name, what)}


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
