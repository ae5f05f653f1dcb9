"""What a recovery needs: a backup, the log after it, and the target; refused across a gap."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from services.backup import archiver
from services.backup.catalogue import Entry
from services.backup.engine import BackupError, Job
from services.backup.postgres import files, scratch, segments
from services.backup.postgres.drill import at_instant
from services.backup.postgres.wal_archive import covered
from services.backup.storage.storage import StorageError
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)


def newest_before(job: Job, moment: datetime) -> Entry:
    """The backup to begin with. Raises BackupError when all are younger."""
    known = job.catalogue.all()
    for one in reversed(known):
        if one.entry.taken <= moment and not one.failed:
            return one.entry
    first = known[0].entry.taken.isoformat() if known else "there is none"
    raise BackupError(
        f"no backup is as old as {moment.isoformat()} (the oldest holds {first}): choose a later"
        " moment"
    )


@asynccontextmanager
async def at_backup(job: Job, entry: Entry) -> AsyncIterator[scratch.Scratch]:
    """A server with what the backup holds."""
    async with (
        scratch.unpacked(job, entry) as place,
        scratch.running(place, at_instant(entry)),
    ):
        yield place


@asynccontextmanager
async def at_moment(job: Job, entry: Entry, moment: datetime) -> AsyncIterator[scratch.Scratch]:
    """A server with everything committed until `moment` and nothing committed later."""
    system = entry.origin.id
    archiver.wait_until(job, moment, lambda: (c := covered(job, system)) and c.when)
    with TemporaryDirectory(dir=job.spec.scratch, prefix="log") as folder:
        # Once for both tries: a segment that grows holds more the next time, and nothing of that
        # was committed before the moment.
        fetched = _fetch(job, system, _needed(job, entry, moment), Path(folder))
        async with scratch.unpacked(job, entry) as place:
            _give(fetched, place)
            target = {
                "recovery_target_time": moment.isoformat(),
                "recovery_target_inclusive": "on",
            }
            try:
                async with scratch.running(place, target):
                    yield place
                    return
            except scratch.EndedEarlyError:
                log.info("nothing_later", moment=moment.isoformat())
        # Nothing was committed after the moment, for the log reaches beyond it: all of it, then.
        async with scratch.unpacked(job, entry) as place:
            _give(fetched, place)
            async with scratch.running(place, {}):
                yield place


def _fetch(job: Job, system: str, paths: dict[str, str], folder: Path) -> list[Path]:
    for name, path in paths.items():
        try:
            files.get_file(job, path, folder / name)
        except StorageError:
            # A segment that has become whole has another name now.
            now = files.archived(job, system).get(name, path)
            if now == path:
                raise
            files.get_file(job, now, folder / name)
    return [folder / name for name in paths]


def _give(fetched: list[Path], place: scratch.Scratch) -> None:
    for path in fetched:
        target = place.log / path.name
        target.unlink(missing_ok=True)  # the backup's own last one, which ends with it
        target.hardlink_to(path)


def _needed(job: Job, entry: Entry, moment: datetime) -> dict[str, str]:
    """Of the archive all that follows the backup. Raises BackupError when it does not reach."""
    reached = covered(job, entry.origin.id)
    if reached is None or moment > reached.when:
        until = "nothing yet" if reached is None else reached.when.isoformat()
        raise BackupError(
            f"the archive of this server reaches {until}, and {moment.isoformat()} is later:"
            " choose an earlier moment, or wait for the archiver"
        )
    assert entry.position.lsn is not None
    assert entry.position.timeline is not None
    if reached.timeline != entry.position.timeline:
        raise BackupError(
            f"the backup is of timeline {entry.position.timeline}, the archive of"
            f" {reached.timeline}: the server was promoted in between; take a backup"
        )
    own = segments.holding(entry.position.timeline, segments.position(entry.position.lsn) - 1)
    last = segments.holding(reached.timeline, segments.position(reached.lsn) - 1)
    there = files.archived(job, entry.origin.id)
    # Of its last segment the backup has what it needed; what came later in it is in the archive.
    found = segments.unbroken(own, there)
    if last not in found and last >= own:
        gap = segments.following(found[-1]) if found else own
        raise BackupError(
            f"the log has a gap: {gap} is not in the archive, which goes on to {last}. No moment"
            " after it can be had from this backup; choose one that a later backup begins before,"
            f" or restore {entry.name} itself"
        )
    return {name: there[name] for name in found}
