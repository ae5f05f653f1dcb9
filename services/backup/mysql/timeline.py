"""When data were put in place of the live ones: changes cannot be replayed across that.

The server's log does hold the restore, but as work on other schemas and a rename, which a replay
of one database's changes leaves out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from services.backup.engine import Job
from services.backup.mysql.session import Session

_FOLDER: Final = "restores"
_STAMP: Final = "%Y%m%d-%H%M%S-%f"


def begin_history(job: Job, session: Session) -> str:
    """Written before the swap, so that no crash can leave a swap that nobody knows of."""
    (now,) = session.row("SELECT UTC_TIMESTAMP(6)")
    name = now.strftime(_STAMP)
    with job.catalogue.storage.write(_path(job, name)) as file:
        file.write(b"{}\n")
    return name


def undo_history(job: Job, name: str) -> None:
    """There was no swap."""
    job.catalogue.storage.delete(_path(job, name))


def restored_between(job: Job, start: datetime, end: datetime) -> datetime | None:
    """The first swap after `start` and not after `end`."""
    found = (
        datetime.strptime(stored.name.removesuffix(".json"), _STAMP).replace(tzinfo=UTC)
        for stored in job.catalogue.storage.list(job.catalogue.path(_FOLDER))
    )
    return min((moment for moment in found if start < moment <= end), default=None)


def _path(job: Job, name: str) -> str:
    return job.catalogue.path(f"{_FOLDER}/{name}.json")
