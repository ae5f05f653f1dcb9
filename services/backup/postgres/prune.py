"""What of the archive nobody needs any more."""

from __future__ import annotations

from services.backup.catalogue import Known
from services.backup.engine import Job
from services.backup.postgres import files, segments


def prune(job: Job, kept: list[Known]) -> list[str]:
    """Whatever is older than the oldest kept backup of its server. Without one nothing goes: the
    archive may be all there is."""
    gone: list[str] = []
    for system in {one.entry.origin.id for one in kept}:
        first = min(_first(one) for one in kept if one.entry.origin.id == system)
        for name, path in files.archived(job, system).items():
            if segments.start(name) < segments.start(first):
                job.catalogue.storage.delete(path)
                gone.append(path)
    return sorted(gone)


def _first(known: Known) -> str:
    names = (path.rpartition("/")[2].partition(".")[0] for path in known.entry.files)
    return min(name for name in names if segments.is_segment(name))
