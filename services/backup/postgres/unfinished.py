"""A note beside a backup that is being taken: of one that was killed, its folder must be known.

A storage lists no folders, and files without a manifest are nobody's.
"""

from __future__ import annotations

from typing import Final

from services.backup.engine import Job

_NOTE: Final = ".unfinished"
_MANIFEST: Final = ".manifest.json"


def begin(job: Job, name: str) -> None:
    """Before its first file."""
    with job.catalogue.storage.write(job.catalogue.path(name + _NOTE)) as file:
        file.write(b"removed by the next backup\n")


def sweep(job: Job) -> None:
    """Of every backup that has a note: the files, unless its manifest is there, and the note."""
    storage, path = job.catalogue.storage, job.catalogue.path
    there = {stored.name for stored in storage.list(job.catalogue.folder)}
    for note in there:
        if not note.endswith(_NOTE):
            continue
        name = note.removesuffix(_NOTE)
        if name + _MANIFEST not in there:
            for stored in storage.list(path(name)):
                storage.delete(path(f"{name}/{stored.name}"))
        storage.delete(path(note))
