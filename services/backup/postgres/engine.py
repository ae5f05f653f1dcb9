"""PostgreSQL's side of the command line."""

from __future__ import annotations

import asyncio
from datetime import datetime

from services.backup.catalogue import Entry, Known, Proof
from services.backup.engine import Engine, Job, Restored
from services.backup.postgres import drill, prune, restore, take, wal_archive


class Postgres:
    """See `Engine`. A backup is of the whole server; what is restored is one database of it."""

    def take(self, job: Job) -> Entry:
        return asyncio.run(take.take(job))

    def drill(self, job: Job, entry: Entry) -> Proof:
        return asyncio.run(drill.drill(job, entry))

    def restore(self, job: Job, entry: Entry, *, migrate: bool) -> Restored:
        return asyncio.run(restore.restore(job, entry, migrate=migrate))

    def pitr(self, job: Job, to: datetime, *, migrate: bool) -> Restored:
        return asyncio.run(restore.pitr(job, to, migrate=migrate))

    def unlock(self, job: Job) -> str:
        return asyncio.run(restore.unlock(job))

    def prune(self, job: Job, kept: list[Known]) -> list[str]:
        return prune.prune(job, kept)

    def archive(self, job: Job) -> None:
        wal_archive.archive(job)


ENGINE: Engine = Postgres()
