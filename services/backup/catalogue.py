"""What is known of each backup: a manifest beside it, and the proof of its last drill."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from services.backup.engine import BackupError
from services.backup.storage.storage import Storage

_MANIFEST: Final = ".manifest.json"
_PROOF: Final = ".proof.json"
_MOST_BYTES: Final = 16 * 2**20  # a manifest of that size is not one of ours


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Position(_Model):
    """Where in the server's log of changes the backup stands; each engine fills in its own."""

    gtids: str | None = None
    log_file: str | None = None
    log_offset: int | None = None
    lsn: str | None = None
    timeline: int | None = None

    def __str__(self) -> str:
        if self.lsn is not None:
            return f"{self.lsn} (timeline {self.timeline})"
        return f"{self.log_file}:{self.log_offset}"


class Origin(_Model):
    """The server it was taken from. `id` is new whenever a server begins with no data."""

    host: str
    version: str
    id: str


class Table(_Model):
    """What a table held. Whoever has the same rows in the same structure gets the same texts."""

    rows: int
    checksum: str
    structure: str


class Entry(_Model):
    """A backup that is there whole: the manifest is written last."""

    format: Literal[1] = 1
    name: str
    """The file, or with several the folder."""
    engine: str
    database: str
    started: AwareDatetime
    taken: AwareDatetime
    """The moment it holds."""
    finished: AwareDatetime
    size: int
    sha256: str
    """Of the file as it lies there; with several, of their names and checksums in order."""
    files: dict[str, str] = {}
    """Of a folder: sha256 by name."""
    position: Position
    origin: Origin
    revision: str | None
    tables: dict[str, Table]
    recipients: tuple[str, ...] = ()
    """Who can open it; empty: it is not encrypted."""


class Proof(_Model):
    """The outcome of restoring a backup on the side."""

    name: str
    when: AwareDatetime
    passed: bool
    reason: str
    seconds: float
    version: str
    """The server it was restored into."""


@dataclass(frozen=True)
class Known:
    """A backup and what is known of it."""

    entry: Entry
    proof: Proof | None

    @property
    def proven(self) -> bool:
        return self.proof is not None and self.proof.passed

    @property
    def failed(self) -> bool:
        """A drill found that it is not what its manifest says."""
        return self.proof is not None and not self.proof.passed


M = TypeVar("M", bound=_Model)


class Catalogue:
    """The backups of one database, in one folder of the storage."""

    def __init__(self, storage: Storage, folder: str) -> None:
        self.storage = storage
        self.folder = folder

    def path(self, name: str) -> str:
        """Of a file in the folder."""
        return f"{self.folder}/{name}"

    def all(self) -> list[Known]:
        """Oldest first. What has no manifest is no backup."""
        names = {stored.name for stored in self.storage.list(self.folder)}
        found = [
            self._known(manifest.removesuffix(_MANIFEST), names)
            for manifest in names
            if manifest.endswith(_MANIFEST)
        ]
        return sorted(found, key=lambda known: (known.entry.taken, known.entry.name))

    def get(self, name: str) -> Known:
        """Raises BackupError when there is no such backup, with those that are there."""
        names = {stored.name for stored in self.storage.list(self.folder)}
        if name + _MANIFEST not in names:
            raise BackupError(f"there is no backup {name} with a manifest; {say(self.all())}")
        # Its own alone: another one that cannot be read is no reason not to restore this one.
        return self._known(name, names)

    def _known(self, name: str, names: set[str]) -> Known:
        proof = self._read(Proof, name + _PROOF) if name + _PROOF in names else None
        return Known(self._read(Entry, name + _MANIFEST), proof)

    def newest(self) -> Known:
        """Raises BackupError when there is none."""
        known = self.all()
        if not known:
            raise BackupError(f"no backup in {self.folder}; take one first")
        return known[-1]

    def add(self, entry: Entry) -> None:
        """Last of all: from now on it is a backup."""
        self._write(entry.name + _MANIFEST, entry)

    def prove(self, proof: Proof) -> None:
        """In place of what an earlier drill said."""
        self._write(proof.name + _PROOF, proof)

    def forget(self, entry: Entry) -> None:
        """The manifest first: a backup that is half gone is none."""
        self.storage.delete(self.path(entry.name + _MANIFEST))
        self.storage.delete(self.path(entry.name + _PROOF))
        for name in entry.files or [entry.name]:
            self.storage.delete(self.path(name))

    def _write(self, name: str, model: _Model) -> None:
        with self.storage.write(self.path(name)) as file:
            file.write(model.model_dump_json(indent=1).encode() + b"\n")

    def _read(self, model: type[M], name: str) -> M:
        with self.storage.read(self.path(name)) as file:
            text = file.read(_MOST_BYTES)
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            raise BackupError(
                f"{self.path(name)} is not a manifest of this program ({error.error_count()} "
                "faults); move it elsewhere, or put back the one that was there"
            ) from None


def say(known: Sequence[Known]) -> str:
    """The newest few, for messages."""
    if not known:
        return "there is none"
    return "there are " + ", ".join(one.entry.name for one in known[-5:])


def new_name(prefix: str, moment: datetime, *, suffix: str, encrypted: bool) -> str:
    """`clients-20260102-030405.sql.gz`, in UTC whatever the zone of `moment`."""
    stamp = moment.astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    return f"{prefix}-{stamp}{suffix}{'.age' if encrypted else ''}"


def checked_name(name: str) -> str:
    """Raises BackupError for what cannot be a backup's name, a path for one."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*-\d{8}-\d{6}(\.[a-z0-9]+)*", name):
        raise BackupError(f"{name!r} is not the name of a backup; `list` names them")
    return name
