"""Reading a backup: it is what its manifest says, or nothing is done with it."""

from __future__ import annotations

from collections.abc import Sequence

from services.backup.catalogue import Entry
from services.backup.encryption import unseal
from services.backup.engine import BackupError, Job
from services.backup.mysql.tools import Feed, feed
from services.backup.storage.storage import Writer
from services.backup.streams import Expanding, Measured, Nowhere, Tail


def check(job: Job, entry: Entry) -> None:
    """Read it whole. Raises BackupError for what is damaged, foreign or not to be opened."""
    if entry.engine != "mysql" or entry.database != job.spec.database:
        raise BackupError(
            f"{entry.name} is a backup of {entry.engine} database {entry.database}, not of "
            f"{job.spec.database}; name one of `list`"
        )
    tail = Tail(Nowhere())
    _copy(job, entry, tail)
    head, end = tail.head.decode(errors="replace"), tail.tail.decode(errors="replace")
    if "-- MySQL dump" not in head:
        raise BackupError(f"{entry.name} holds no dump of mysqldump")
    if f"Database: {entry.database}\n" not in head:
        raise BackupError(f"{entry.name} holds a dump of another database than {entry.database}")
    if "-- Dump completed" not in end:
        raise BackupError(f"{entry.name} is truncated: mysqldump's last line is missing")


def load(job: Job, entry: Entry, mysql: Sequence[str]) -> None:
    """Into the server and database that the command `mysql` talks to."""
    with feed(mysql) as tool:
        _copy(job, entry, Feed(tool))
        tool.finish()


def _copy(job: Job, entry: Entry, sink: Writer) -> None:
    with job.catalogue.storage.read(job.catalogue.path(entry.name)) as file:
        measured = Measured(file)
        expanding = Expanding(sink)
        try:
            unseal(measured, expanding, entry.recipients, job.spec.encryption)
            expanding.finish()
        except BackupError as error:
            # A damaged file fails in many ways; that it is damaged is what helps.
            while measured.read(2**18):
                continue
            _compare(entry, measured)
            raise type(error)(f"{entry.name}: {error}") from error
    _compare(entry, measured)


def _compare(entry: Entry, measured: Measured) -> None:
    if measured.size != entry.size:
        raise BackupError(
            f"{entry.name} has {measured.size} bytes and its manifest says {entry.size}: it is "
            "truncated or not the file that was written; use another backup"
        )
    if measured.sha256 != entry.sha256:
        raise BackupError(
            f"{entry.name} has another checksum than its manifest: it is damaged or not the file "
            "that was written; use another backup"
        )
