"""A drill: the backup in a scratch server holds what its manifest says."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from services.backup.catalogue import Entry, Proof
from services.backup.engine import BackupError, Job, NotOpened
from services.backup.mysql.contents import contents, differences, orphans, revision
from services.backup.mysql.load import check, load
from services.backup.mysql.scratch import Scratch, scratch_server
from services.backup.mysql.session import Session
from services.backup.mysql.tools import options


def drill(job: Job, entry: Entry) -> Proof:
    """See `Engine`. A pod in which no scratch server starts proves nothing either: BackupError."""
    began = time.monotonic()
    with scratch_server(job.spec.scratch, entry.database) as scratch:
        (version,) = scratch.session.row("SELECT VERSION()")
        try:
            check(job, entry)
            load_into(job, entry, scratch)
            reason = ""
        except NotOpened:
            raise
        except BackupError as error:
            reason = str(error)
    return Proof(
        name=entry.name,
        when=datetime.now(UTC),
        passed=not reason,
        reason=reason,
        seconds=round(time.monotonic() - began, 3),
        version=version,
    )


def load_into(job: Job, entry: Entry, scratch: Scratch) -> None:
    """Load and compare. Raises BackupError with every difference."""
    with options(scratch.login) as file:
        load(job, entry, ["mysql", f"--defaults-file={file}", "--binary-mode", entry.database])
    compare(scratch.session, entry.database, entry)


def compare(session: Session, database: str, entry: Entry) -> None:
    """Raises BackupError when a database does not hold what the manifest says."""
    wrong = differences(entry.tables, contents(session, database)) + orphans(session, database)
    if entry.revision is not None and (found := revision(session, database)) != entry.revision:
        wrong.append(f"its revision is {found} and should be {entry.revision}")
    if wrong:
        raise BackupError(f"{entry.name}, restored: {'; '.join(wrong)}")
