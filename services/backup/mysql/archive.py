"""The archiver: closes the server's log when there is something in it, and takes what is closed.

Only closed files are taken, each whole: whatever is killed, the next round takes the same file
again, so that there is neither a gap nor anything twice.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from services.backup import archiver
from services.backup.engine import BackupError, Job
from services.backup.mysql.segments import Segments, State, number
from services.backup.mysql.session import Session, connect
from services.backup.mysql.tools import Tool, option_file
from services.shared.runtime import logging


def archive(job: Job) -> None:
    """See `Engine`."""
    archiver.run(job, lambda: one_round(job))


def one_round(job: Job) -> datetime:
    """Archive all that was committed; returns up to which moment that is everything."""
    server = job.spec.server
    with connect(server, server.backup) as session:
        until, server_id, gtids = session.row(
            "SELECT UTC_TIMESTAMP(6), @@global.server_uuid, @@global.gtid_executed"
        )
        segments = Segments(job, server_id)
        before, gtids = segments.state(), gtids.replace("\n", "")
        if before is None or before.gtids != gtids:
            session.rows("FLUSH BINARY LOGS")
        # Asked again: what committed between the question and the flush is in the file as well.
        (gtids,) = session.row("SELECT @@global.gtid_executed") if before is None else (gtids,)
        there = _closed(session)
        archived = segments.files()
        gaps = _gaps(before, archived, list(there))
        last = number(archived[-1]) if archived else 0
        for file, size in there.items():
            if number(file) > last:
                _take(job, segments, file, size)
    newest = segments.files()
    if not newest:
        raise BackupError(f"{server.host} has no closed file of its binary log yet")
    reached = until.replace(tzinfo=UTC)
    segments.keep_state(
        State(until=reached, gtids=gtids.replace("\n", ""), file=newest[-1], gaps=gaps)
    )
    return reached


def _closed(session: Session) -> dict[str, int]:
    """Files of the log that nothing more is written to, with their sizes, in order."""
    files = [(str(row[0]), int(row[1])) for row in session.rows("SHOW BINARY LOGS")]
    return dict(files[:-1])


def _gaps(
    before: State | None, archived: list[str], there: list[str]
) -> tuple[tuple[str, str], ...]:
    known = before.gaps if before else ()
    if not archived or not there:
        return known
    if number(there[-1]) < number(archived[-1]):
        raise BackupError(
            f"the server's log ends with {there[-1]} and the archive with {archived[-1]}: the log "
            "was reset; move the archive elsewhere and take a backup"
        )
    if number(there[0]) > number(archived[-1]) + 1 and (archived[-1], there[0]) not in known:
        logging.get_logger(__name__).error(
            "archive_gap", after=archived[-1], before=there[0], way_out="take a backup now"
        )
        return (*known, (archived[-1], there[0]))
    return known


def _take(job: Job, segments: Segments, file: str, size: int) -> None:
    server = job.spec.server
    with (
        option_file(server, server.backup) as options,
        tempfile.TemporaryDirectory(prefix="binlog-", dir=job.spec.scratch) as folder,
    ):
        command = ["mysqlbinlog", f"--defaults-file={options}", "--read-from-remote-server"]
        command += ["--raw", "--verify-binlog-checksum", f"--result-file={folder}/", file]
        with Tool(command) as tool:
            tool.finish()
        raw = Path(folder) / file
        if not raw.exists() or raw.stat().st_size != size:
            raise BackupError(f"{file} did not come whole from {server.host}; it is taken again")
        segment = segments.add(raw)
    logging.get_logger(__name__).info(
        "log_archived", database=job.spec.database, file=file, bytes=segment.size
    )
