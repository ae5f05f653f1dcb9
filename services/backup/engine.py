"""What the command line needs of a database server, whichever program it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from services.backup.catalogue import Catalogue, Entry, Known, Proof
    from services.backup.spec import BackupSpec


class BackupError(Exception):
    """It was not done; the message says why, what stands now, and the way out."""


class NotOpened(BackupError):
    """A file is what was written, and the keys at hand do not open it: no fault of the backup."""


@dataclass(frozen=True)
class Job:
    """What an action works on."""

    spec: BackupSpec
    catalogue: Catalogue


@dataclass(frozen=True)
class Restored:
    """A restore that went through: what it put in place, and what is left of what was there."""

    name: str
    to: datetime
    """The moment whose data is live now."""
    revision: str | None
    tables: int
    rows: int
    kept: str | None
    """Where the data that was live before lies; None: it was not kept."""
    seconds: float


class Engine(Protocol):
    """One kind of server. Every method may raise BackupError, StorageError or SettingsError."""

    def take(self, job: Job) -> Entry:
        """A new backup, its manifest written. Refused from a server that is not healthy."""
        ...

    def drill(self, job: Job, entry: Entry) -> Proof:
        """Restore it on the side and compare. A backup that is not what its manifest says is a
        proof that did not pass, no exception; the caller stores either. NotOpened proves
        nothing."""
        ...

    def restore(self, job: Job, entry: Entry, *, migrate: bool) -> Restored:
        """Put it in place of the live data, or leave that as it is."""
        ...

    def pitr(self, job: Job, to: datetime, *, migrate: bool) -> Restored:
        """As restore, with all changes up to a moment and none after it."""
        ...

    def unlock(self, job: Job) -> str:
        """Undo or finish what an interrupted restore left; says what it did."""
        ...

    def prune(self, job: Job, kept: list[Known]) -> list[str]:
        """Delete of the archive what no kept backup needs; names what went."""
        ...

    def archive(self, job: Job) -> None:
        """Archive changes until SIGTERM."""
        ...
