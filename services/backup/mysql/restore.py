"""A restore: into a schema on the side of the live one, compared, then swapped."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from services.backup.catalogue import Entry, Table
from services.backup.engine import BackupError, Job, Restored
from services.backup.mysql.contents import contents, differences, orphans, revision
from services.backup.mysql.dump import take
from services.backup.mysql.load import check, load
from services.backup.mysql.session import Session, alone, connect, quote
from services.backup.mysql.swap import LOADER, MARKER, Names, prepare, swap, tidy
from services.backup.mysql.tools import options
from services.backup.schema import migrate as bring_up
from services.backup.schema import older
from services.backup.storage.storage import StorageError
from services.shared.runtime import logging
from services.shared.runtime.settings import SettingsError

Fill = Callable[[Sequence[str]], None]
"""Loads a dump by the command `mysql …`."""


def restore(job: Job, entry: Entry, *, migrate: bool) -> Restored:
    """See `Engine`."""
    began = time.monotonic()
    check(job, entry)
    migrates = entry.revision is not None and older(job, entry.revision, allowed=migrate)

    def fill(mysql: Sequence[str]) -> None:
        load(job, entry, mysql)

    return put_in_place(
        job, entry, fill, entry.tables, migrates=migrates, to=entry.taken, began=began
    )


def put_in_place(
    job: Job,
    entry: Entry,
    fill: Fill,
    wanted: dict[str, Table],
    *,
    migrates: bool,
    to: datetime,
    began: float,
) -> Restored:
    spec, names = job.spec, Names(job.spec.database)
    log = logging.get_logger(__name__)
    with connect(spec.server, spec.server.administrator) as session, alone(session, names.live):
        if (said := tidy(session, job, names)) and "nothing" not in said:
            log.warning("restore_cleaned_up", database=names.live, did=said)
        prepare(session, names)
        try:
            _fill(session, job, names, fill)
            log.info("restore_loaded", database=names.live, schema=names.restoring)
            _compare(session, names, wanted)
            if migrates:
                bring_up(job, "mysql", names.restoring)
            found = contents(session, names.restoring)
            found.pop(MARKER)
            current = revision(session, names.restoring) if entry.revision else None
        except BaseException:
            tidy(session, job, names)
            raise
        kept = swap(session, job, names)
        if wrong := differences(found, contents(session, names.live)):
            # The application is in again and may have written; only what is missing is a fault.
            wrong = [one for one in wrong if "missing" in one or "structure" in one]
            if wrong:
                raise BackupError(f"after the swap: {'; '.join(wrong)}; what was live is in {kept}")
    restored = Restored(
        name=entry.name,
        to=to,
        revision=current,
        tables=len(found),
        rows=sum(table.rows for table in found.values()),
        kept=kept,
        seconds=round(time.monotonic() - began, 3),
    )
    # Changes are replayed from a backup on, never across a restore.
    try:
        log.info("backup_taken", database=names.live, backup=take(job).name, after="restore")
    except (BackupError, StorageError, SettingsError) as error:
        log.error("backup_after_restore_failed", database=names.live, reason=str(error))
    return restored


def unlock(job: Job) -> str:
    """See `Engine`."""
    spec = job.spec
    with connect(spec.server, spec.server.administrator) as session, alone(session, spec.database):
        return tidy(session, job, Names(spec.database))


def _fill(session: Session, job: Job, names: Names, fill: Fill) -> None:
    """By an account that can reach nothing else: a dump is statements that somebody wrote."""
    password = secrets.token_urlsafe(24)
    session.rows(
        f"CREATE USER {LOADER} IDENTIFIED WITH caching_sha2_password BY %s REQUIRE SSL", (password,)
    )
    schema = names.restoring.replace("_", r"\_")
    session.rows(f"GRANT ALL ON {quote(schema)}.* TO {LOADER}")
    server = job.spec.server
    with options(
        {
            "host": server.host,
            "port": str(server.port),
            "protocol": "TCP",
            "user": LOADER,
            "password": password,
            "ssl-mode": "VERIFY_IDENTITY",
            "ssl-ca": str(server.ca_file),
        }
    ) as file:
        fill(["mysql", f"--defaults-file={file}", "--binary-mode", names.restoring])
    session.rows(f"DROP USER {LOADER}")


def _compare(session: Session, names: Names, wanted: dict[str, Table]) -> None:
    found = contents(session, names.restoring)
    found.pop(MARKER)
    wrong = differences(wanted, found) + orphans(session, names.restoring)
    if wrong:
        raise BackupError(f"what was restored is not what was backed up: {'; '.join(wrong)}")
