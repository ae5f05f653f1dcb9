"""Files of a backup and of the archive on their way to and from the storage."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.backup.encryption import seal, unseal
from services.backup.engine import BackupError, Job
from services.backup.postgres import segments
from services.backup.storage.storage import Reader, Writer
from services.backup.streams import PIECE, Compressing, Expanding, Measured

BASE: Final = "base.tar"
_PARTIAL: Final = ".partial"


@dataclass(frozen=True)
class Put:
    """A file as it lies in the storage."""

    name: str
    size: int
    sha256: str
    recipients: tuple[str, ...]


def archive_folder(job: Job, system: str) -> str:
    """Where a server's log is kept. One that begins anew has an identifier of its own, and uses
    the same names for other segments."""
    return job.catalogue.path(f"wal-{system}")


def put(job: Job, folder: str, name: str, source: Reader) -> Put:
    """Compressed and, with keys, encrypted; its name says which."""
    encryption = job.spec.encryption
    stored = f"{name}.gz{'.age' if encryption else ''}"
    # Every few seconds there is a newer one: a third of the time, for a tenth more of room.
    level = 1 if is_partial(name) else 6
    with job.catalogue.storage.write(f"{folder}/{stored}") as file:
        measured = Measured(file)
        recipients = seal(Compressing(source, level=level), measured, encryption)
    return Put(stored, measured.size, measured.sha256, recipients)


def get(job: Job, path: str, sink: Writer, sha256: str | None = None) -> None:
    """The contents of a file that put() stored. Raises BackupError when it is not that any more."""
    name = path.rpartition("/")[2]
    recipients = ("another key",) if name.endswith(".age") else ()
    with job.catalogue.storage.read(path) as file:
        measured = Measured(file)
        expanding = Expanding(sink)
        try:
            unseal(measured, expanding, recipients, job.spec.encryption)
            expanding.finish()
            while measured.read(PIECE):
                pass
        except BackupError as error:
            # A damaged file fails in many ways; that it is damaged is what helps.
            while measured.read(PIECE):
                pass
            _compare(path, measured, sha256)
            raise type(error)(f"{path}: {error}") from error
    _compare(path, measured, sha256)


def _compare(path: str, measured: Measured, sha256: str | None) -> None:
    if sha256 is not None and measured.sha256 != sha256:
        raise BackupError(
            f"{path} is not what the manifest says: its SHA-256 is {measured.sha256}, not {sha256}"
        )


def get_file(job: Job, path: str, target: Path, sha256: str | None = None) -> None:
    """Into a file that is there whole or not at all."""
    partial = target.with_name(target.name + ".part")
    with partial.open("wb") as file:
        get(job, path, file, sha256)
    partial.replace(target)


def get_folder(job: Job, path: str, target: Path, sha256: str) -> None:
    """Unpack a tar archive as it comes, for there may be no room for it twice."""
    target.mkdir(mode=0o700)
    # In memory: where there is no room left, there is none for its words.
    with os.fdopen(os.memfd_create("said"), "r+b") as errors:
        process = subprocess.Popen(  # noqa: S603
            ["/bin/tar", "--extract", f"--directory={target}"],
            stdin=subprocess.PIPE,
            stderr=errors,
        )
        assert process.stdin is not None
        try:
            with suppress(BrokenPipeError), process.stdin as sink:  # its own words say why
                get(job, path, sink, sha256)
        finally:
            code = process.wait()
        if code:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()
            raise BackupError(f"{path}: unpacking failed: {said[-500:]}")


def archived(job: Job, system: str) -> dict[str, str]:
    """Of the segments in the archive, whole or not, the path in the storage by name."""
    folder = archive_folder(job, system)
    whole: dict[str, str] = {}
    partial: dict[str, str] = {}
    for stored in job.catalogue.storage.list(folder):
        name = stored.name.partition(".")[0]
        if segments.is_segment(name):
            found = partial if _PARTIAL in stored.name else whole
            found[name] = f"{folder}/{stored.name}"
    return partial | whole


def partial_name(segment: str) -> str:
    """Of a segment that still grows."""
    return segment + _PARTIAL


def is_partial(path: str) -> bool:
    """Whether a stored file is of a segment that still grew."""
    return _PARTIAL in path.rpartition("/")[2]
