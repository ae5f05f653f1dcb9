"""The archive of the server's binary log: its files, whole, each with a manifest beside it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from services.backup.catalogue import Known
from services.backup.encryption import seal, unseal
from services.backup.engine import BackupError, Job
from services.backup.storage.storage import Stored
from services.backup.streams import Compressing, Expanding, Measured

_FOLDER: Final = "binlog"
_DATA: Final = ".gz"
_MANIFEST: Final = ".json"
_STATE: Final = ".state"


class Segment(BaseModel):
    """A file of the log. `raw_*` are of the file as the server had it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str
    file: str
    size: int
    sha256: str
    raw_size: int
    raw_sha256: str
    archived: AwareDatetime
    recipients: tuple[str, ...]


class State(BaseModel):
    """How far the archive goes. All that was committed until `until` is in it, but for gaps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    until: AwareDatetime
    gtids: str
    file: str
    gaps: tuple[tuple[str, str], ...] = ()


M = TypeVar("M", bound=BaseModel)


def number(file: str) -> int:
    """binlog.000012: 12."""
    found = re.fullmatch(r".+\.(\d{6,})", file)
    if not found:
        raise BackupError(f"{file!r} is not the name of a file of the binary log")
    return int(found[1])


class Segments:
    """Of one server, known by its id."""

    def __init__(self, job: Job, server: str) -> None:
        self._job = job
        self._server = server

    def state(self) -> State | None:
        """None: nothing was archived yet."""
        names = {stored.name for stored in self._listed()}
        name = f"{self._server}{_STATE}"
        return self._read(State, name) if name in names else None

    def keep_state(self, state: State) -> None:
        """In place of the earlier one."""
        self._write(f"{self._server}{_STATE}", state)

    def files(self) -> list[str]:
        """Those that are there whole, in order."""
        found = [
            stored.name.removeprefix(f"{self._server}.").removesuffix(_MANIFEST)
            for stored in self._listed()
            if stored.name.startswith(self._server) and stored.name.endswith(_MANIFEST)
        ]
        return sorted(found, key=number)

    def add(self, raw: Path) -> Segment:
        """The manifest last: a segment without one is not there, and is written again."""
        job, name = self._job, f"{self._server}.{raw.name}"
        encryption = job.spec.encryption
        with raw.open("rb") as file, job.catalogue.storage.write(self._path(name + _DATA)) as sink:
            inner, outer = Measured(file), Measured(sink)
            recipients = seal(Compressing(inner), outer, encryption)
        segment = Segment(
            server=self._server,
            file=raw.name,
            size=outer.size,
            sha256=outer.sha256,
            raw_size=inner.size,
            raw_sha256=inner.sha256,
            archived=datetime.now(UTC),
            recipients=recipients,
        )
        self._write(name + _MANIFEST, segment)
        return segment

    def fetch(self, file: str, folder: Path) -> Path:
        """The file as the server had it. Raises BackupError when it is damaged."""
        name = f"{self._server}.{file}"
        segment = self._read(Segment, name + _MANIFEST)
        path = folder / file
        with (
            path.open("wb") as target,
            self._job.catalogue.storage.read(self._path(name + _DATA)) as source,
        ):
            raw = Measured(target)
            expanding = Expanding(raw)
            try:
                unseal(source, expanding, segment.recipients, self._job.spec.encryption)
                expanding.finish()
            except BackupError as error:
                raise type(error)(f"archived log {name}: {error}") from error
        if (raw.size, raw.sha256) != (segment.raw_size, segment.raw_sha256):
            raise BackupError(f"archived log {name} is not what was archived: it is damaged")
        return path

    def delete(self, file: str) -> None:
        """The manifest first."""
        for end in (_MANIFEST, _DATA):
            self._job.catalogue.storage.delete(self._path(f"{self._server}.{file}{end}"))

    def _listed(self) -> list[Stored]:
        return self._job.catalogue.storage.list(self._job.catalogue.path(_FOLDER))

    def _path(self, name: str) -> str:
        return self._job.catalogue.path(f"{_FOLDER}/{name}")

    def _write(self, name: str, model: BaseModel) -> None:
        with self._job.catalogue.storage.write(self._path(name)) as file:
            file.write(model.model_dump_json(indent=1).encode() + b"\n")

    def _read(self, model: type[M], name: str) -> M:
        with self._job.catalogue.storage.read(self._path(name)) as file:
            text = file.read(2**20)
        try:
            return model.model_validate_json(text)
        except ValidationError:
            raise BackupError(f"{self._path(name)} is not of this program; put it right") from None


def prune(job: Job, kept: list[Known]) -> list[str]:
    """See `Engine`. What a kept backup needs stays, and what came after it."""
    gone: list[str] = []
    listed = job.catalogue.storage.list(job.catalogue.path(_FOLDER))
    oldest = min((one.entry.started for one in kept), default=None)
    if oldest is None:
        return gone
    for server in sorted({stored.name[:36] for stored in listed}):
        segments = Segments(job, server)
        needed = [
            number(one.entry.position.log_file)
            for one in kept
            if one.entry.origin.id == server and one.entry.position.log_file
        ]
        state = segments.state()
        # Of a server that is no more, and of which no backup is kept: its log is of no use.
        if not needed and (state is None or state.until >= oldest):
            continue
        for file in segments.files():
            if not needed or number(file) < min(needed):
                segments.delete(file)
                gone.append(file)
    return gone
