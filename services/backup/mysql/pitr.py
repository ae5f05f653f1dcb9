"""A moment's data: the backup before it, and the archived changes up to it, in a scratch server."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from services.backup import archiver
from services.backup.catalogue import Entry, say
from services.backup.engine import BackupError, Job, Restored
from services.backup.mysql.contents import contents, orphans, revision
from services.backup.mysql.drill import load_into
from services.backup.mysql.dump import mysqldump
from services.backup.mysql.load import check
from services.backup.mysql.log_text import left_out
from services.backup.mysql.restore import put_in_place
from services.backup.mysql.scratch import Scratch, scratch_server
from services.backup.mysql.segments import Segments, State, number
from services.backup.mysql.timeline import restored_between
from services.backup.mysql.tools import Feed, Tool, feed, options
from services.backup.schema import older
from services.shared.runtime import logging


def pitr(job: Job, to: datetime, *, migrate: bool) -> Restored:
    """See `Engine`."""
    began = time.monotonic()
    entry = _nearest(job, to)
    segments = Segments(job, entry.origin.id)
    archiver.wait_until(job, to, lambda: (state := segments.state()) and state.until)
    files = _needed(entry, segments, to)
    check(job, entry)
    log = logging.get_logger(__name__)
    with scratch_server(job.spec.scratch, entry.database) as scratch:
        load_into(job, entry, scratch)
        log.info("pitr_loaded", database=entry.database, backup=entry.name)
        for file in files:
            if not _replay(job, entry, segments, file, scratch=scratch, to=to):
                break
        wanted = contents(scratch.session, entry.database)
        if wrong := orphans(scratch.session, entry.database):
            raise BackupError(f"the data of {to.isoformat()} break constraints: {'; '.join(wrong)}")
        migrates = entry.revision is not None and older(
            job, revision(scratch.session, entry.database), allowed=migrate
        )

        def fill(mysql: Sequence[str]) -> None:
            with (
                options(scratch.login) as file,
                Tool(mysqldump(file, entry.database)) as source,
                feed(mysql) as target,
            ):
                sink = Feed(target)
                while piece := source.output.read(2**18):
                    sink.write(piece)
                source.finish()
                target.finish()

        return put_in_place(job, entry, fill, wanted, migrates=migrates, to=to, began=began)


def _nearest(job: Job, to: datetime) -> Entry:
    if to > datetime.now(UTC):
        raise BackupError(f"{to.isoformat()} is in the future")
    known = job.catalogue.all()
    before = [one for one in known if one.entry.taken <= to and not one.failed]
    if not before:
        first = f"; the oldest is of {known[0].entry.taken.isoformat()}" if known else ""
        raise BackupError(f"no backup was taken before {to.isoformat()}{first}; {say(known)}")
    entry = before[-1].entry
    if swapped := restored_between(job, entry.taken, to):
        raise BackupError(
            f"between {entry.name} and {to.isoformat()} other data were put in place (at "
            f"{swapped.isoformat()}): changes cannot be replayed across that. Choose a moment "
            "before it, or after the first backup that followed it"
        )
    return entry


def _needed(entry: Entry, segments: Segments, to: datetime) -> list[str]:
    """Archived files from the backup's position on. Raises BackupError when some are missing."""
    state = segments.state()
    if state is None:
        raise BackupError(
            f"no changes of server {entry.origin.id} were archived; `archive` does it"
        )
    _reaches(state, to)
    first = number(entry.position.log_file or "")
    files = [file for file in segments.files() if number(file) >= first]
    there = [number(file) for file in files]
    missing = sorted(set(range(first, number(state.file) + 1)) - set(there))
    if missing:
        raise BackupError(
            f"the archive has a gap: after {entry.name} the log's files {_ranges(missing)} are "
            f"missing, and {_ranges(there)} are there; choose a backup after the gap"
        )
    return files


def _reaches(state: State, to: datetime) -> None:
    if to > state.until:
        raise BackupError(
            f"{to.isoformat()} is beyond the archive's end: it holds all changes until "
            f"{state.until.isoformat()} ({state.file}); wait for the archiver, or choose a moment "
            "before that"
        )


def _ranges(numbers: list[int]) -> str:
    return f"{numbers[0]} to {numbers[-1]}" if numbers else "none"


def _replay(
    job: Job, entry: Entry, segments: Segments, file: str, *, scratch: Scratch, to: datetime
) -> bool:
    """Whether the next file may hold more of it."""
    with (
        tempfile.TemporaryDirectory(prefix="replay-", dir=job.spec.scratch) as folder,
        options(scratch.login) as login,
    ):
        raw = segments.fetch(file, Path(folder))
        begins = entry.position.log_offset if file == entry.position.log_file else 0
        stop, missing = left_out(raw, entry.database, to, begins or 0)
        if missing:
            raise BackupError(
                f"{file}, {missing[0].when}: {missing[0].text[:120]!r} changed {entry.database} "
                "while another database was in use, and such changes cannot be replayed; choose a "
                "moment before it, or after the first backup that followed it"
            )
        _apply(raw, entry, login, stop)
    return stop is None


def _apply(raw: Path, entry: Entry, login: Path, stop: int | None) -> None:
    command = ["mysqlbinlog", "--no-defaults", "--verify-binlog-checksum", "--skip-gtids"]
    command += [f"--database={entry.database}", f"--exclude-gtids={entry.position.gtids}"]
    if stop is not None:
        command += [f"--stop-position={stop}"]
    with (
        Tool([*command, str(raw)]) as source,
        feed(["mysql", f"--defaults-file={login}", "--binary-mode"]) as target,
    ):
        sink = Feed(target)
        while piece := source.output.read(2**18):
            sink.write(piece)
        source.finish()
        target.finish()
