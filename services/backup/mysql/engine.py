"""MySQL's part of the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from services.backup.catalogue import Entry, Known, Proof
from services.backup.engine import Engine, Job, Restored
from services.backup.mysql import archive, drill, dump, pitr, restore, segments


class MySql:
    """See `Engine`."""

    def take(self, job: Job) -> Entry:
        return dump.take(job)

    def drill(self, job: Job, entry: Entry) -> Proof:
        return drill.drill(job, entry)

    def restore(self, job: Job, entry: Entry, *, migrate: bool) -> Restored:
        return restore.restore(job, entry, migrate=migrate)

    def pitr(self, job: Job, to: datetime, *, migrate: bool) -> Restored:
        return pitr.pitr(job, to, migrate=migrate)

    def unlock(self, job: Job) -> str:
        return restore.unlock(job)

    def prune(self, job: Job, kept: list[Known]) -> list[str]:
        return segments.prune(job, kept)

    def archive(self, job: Job) -> None:
        archive.archive(job)


ENGINE: Final[Engine] = MySql()
