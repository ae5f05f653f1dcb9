"""Backups: of every database a daily one that is proven, and what a restore by hand is made of."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi

from components.kit import paths
from components.kit.args import Mount, Text
from components.kit.bindings import USERNAME
from components.kit.quantities import mebibytes
from components.workloads.cronjob import CronJob, CronJobArgs
from components.workloads.daemon import Daemon, DaemonArgs
from infra.images.own import BACKUPS, own_image
from infra.model import operations
from infra.model.environment import Environment
from infra.model.servers import BACKED_UP_WHOLE, DATABASE_ENGINES, Engine, Server
from infra.model.settings import ServerBackupSettings
from infra.model.settings.backups import nightly
from infra.stack.backup_places import Place, given, place
from infra.stack.convert import resources
from infra.stack.databases import Database
from infra.stack.foundation import DATA, Foundation
from infra.stack.operators import Account

_IDENTITY: Final = "identity"
_COMPONENT: Final = "backup"
_LOGS_MEBIBYTES: Final = 512
"""Of the node's disk, beside scratch space."""


def provide_backups(
    ground: Foundation, environment: Environment, databases: Mapping[str, Database]
) -> None:
    """For each server storage, Jobs and archiver, and for each database what restores it."""
    made: dict[Engine, Text] = {}
    for server in ground.records.servers:
        settings = ground.settings.backups.of(server.name)
        if server.engine not in DATABASE_ENGINES or not settings.enabled:
            continue
        if server.engine not in made:
            made[server.engine] = own_image(
                BACKUPS[server.engine], ground.catalogue, environment, ground.child
            )
        where = place(ground, server, settings)
        work = _Work(ground, server, settings, made[server.engine], where)
        held = [databases[name] for name in ground.records.databases(server=server.name)]
        for database in held[:1] if server.engine in BACKED_UP_WHOLE else held:
            _take(work, database)
        for database in held:
            _restore(work, database)


@dataclass(frozen=True)
class _Work:
    """What the Jobs and the archivers of one server have in common."""

    ground: Foundation
    server: Server
    settings: ServerBackupSettings
    image: Text
    place: Place

    @property
    def together(self) -> str | None:
        return f"{self.server.name}-backups" if self.place.kept else None

    def command(self, *action: str) -> tuple[str, ...]:
        program = ("python", "-m", "services.backup", self.server.engine)
        return (*program, *action, "--spec", paths.SPEC_FILE)

    def taking(self, database: Database) -> tuple[Mount, ...]:
        """What it takes to read the server and write to the storage."""
        account = database.operators.backup.password
        return (*self.place.mounts, Mount(files=account, path=paths.secret("backup")))

    def reading(self, database: Database) -> tuple[Mount, ...]:
        """And to read what is in the storage."""
        encryption = self.ground.settings.backups.encryption
        if encryption is None:
            return self.taking(database)
        return (
            *self.taking(database),
            Mount(files=given(encryption.identity_secret), path=paths.secret(_IDENTITY)),
        )

    def restoring(self, database: Database) -> tuple[Mount, ...]:
        """And to put it in place of the live data."""
        who = database.operators
        return (
            *self.reading(database),
            Mount(files=who.administrator.password, path=paths.secret("administrator")),
            Mount(files=who.application.password, path=paths.secret("application")),
        )


def _take(work: _Work, database: Database) -> None:
    """The nightly Job, which proves what it took, and the archiver."""
    said = work.ground.settings.backups
    backup = operations.backup_job(work.server, database.name)
    # Pruned only after that: what is due goes when a newer one is proven.
    both = (work.command("take", "--drill"), work.command("prune"))
    command = ("sh", "-euc", "\n".join(shlex.join(step) for step in both))
    run = _Run(command, work.reading(database), said.backup_seconds)
    CronJob(backup, _run(work, database, run, attempts=2), work.ground.child)
    Daemon(
        operations.archiver(work.server, database.name),
        DaemonArgs(
            namespace=work.ground.namespaces.names[DATA],
            image=work.image,
            pull_secrets=work.ground.settings.images.pull_secrets,
            command=work.command("archive"),
            resources=resources(said.archiver_resources),
            ca=work.ground.authority.bundles[DATA],
            component=_COMPONENT,
            mounts=work.taking(database),
            storage=work.place.kept,
            together=work.together,
            spec=_spec(work, database),
        ),
        work.ground.child,
    )


def _restore(work: _Work, database: Database) -> None:
    """A template: whoever restores says what in the Job that is made of it."""
    seconds = work.ground.settings.backups.restore_seconds
    run = _Run(work.command("list"), work.restoring(database), seconds, suspended=True)
    CronJob(operations.restore_job(database.name), _run(work, database, run), work.ground.child)


@dataclass(frozen=True)
class _Run:
    """What one of the Jobs does."""

    command: tuple[str, ...]
    mounts: tuple[Mount, ...]
    seconds: int
    suspended: bool = False


def _run(work: _Work, database: Database, run: _Run, attempts: int = 1) -> CronJobArgs:
    said = work.ground.settings.backups
    scratch = work.settings.scratch or said.scratch
    size = resources(said.resources)
    # What is written to scratch space counts against the container's disk.
    disk = f"{mebibytes(scratch) + _LOGS_MEBIBYTES}Mi"
    return CronJobArgs(
        namespace=work.ground.namespaces.names[DATA],
        image=work.image,
        pull_secrets=work.ground.settings.images.pull_secrets,
        command=run.command,
        resources=size.model_copy(update={"disk_limit": disk}),
        ca=work.ground.authority.bundles[DATA],
        component=_COMPONENT,
        mounts=run.mounts,
        storage=work.place.kept,
        tmp_size=scratch,
        together=work.together,
        spec=_spec(work, database),
        attempts=attempts,
        deadline_seconds=run.seconds,
        schedule=work.settings.schedule
        or nightly(operations.backed_up(work.server, database.name)),
        suspended=run.suspended,
    )


def _spec(work: _Work, database: Database) -> pulumi.Output[str]:
    """As `services.backup.spec` reads it."""
    said, who = work.ground.settings.backups, database.operators
    identity = f"{paths.secret(_IDENTITY)}/identity"
    spec: dict[str, object] = {
        "database": database.name,
        "prefix": _prefix(work, database),
        "folder": operations.backed_up(work.server, database.name),
        "package": work.ground.records.owner(database.name),
        "server": {
            "host": database.host,
            "port": pulumi.Output.from_input(database.port).apply(int),
            "ca_file": paths.CA_FILE,
            "backup": _account(who.backup, "backup"),
            "administrator": _account(who.administrator, "administrator"),
            "application": [_account(who.application, "application")],
        },
        "storage": work.place.spec,
        "encryption": said.encryption
        and {"recipients": list(said.encryption.recipients), "identity_file": identity},
        "retention": {"count": said.keep_count, "days": said.keep_days},
        "archive": {"interval_seconds": said.archive_seconds},
    }
    return pulumi.Output.json_dumps(spec, sort_keys=True)


def _prefix(work: _Work, database: Database) -> str:
    own = work.ground.records.backups_prefix(database.name)
    whole = work.server.engine in BACKED_UP_WHOLE
    return operations.backed_up(work.server, database.name) if whole or own is None else own


def _account(account: Account, what: str) -> Mapping[str, str]:
    folder = paths.secret(what)
    named = {"user_file": f"{folder}/{USERNAME}"} if account.names_user else {}
    return {"user": account.user, "password_file": f"{folder}/password", **named}
