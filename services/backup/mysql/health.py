"""Whether a server is one to take a backup from."""

from __future__ import annotations

from typing import Final

from services.backup.engine import BackupError, Job
from services.backup.mysql import contents
from services.backup.mysql.session import Session

_MOST_BEHIND: Final = 300  # seconds


def check(session: Session, job: Job) -> None:
    """Raises BackupError for a server whose backup would be no good, with the way out."""
    database = job.spec.database
    log_bin, gtid_mode, read_only = session.row(
        "SELECT @@global.log_bin, @@global.gtid_mode, @@global.read_only"
    )
    if not log_bin or gtid_mode != "ON":
        raise BackupError(
            f"{session.where}: its binary log or GTIDs are off (log_bin={log_bin}, "
            f"gtid_mode={gtid_mode}), so a backup has no position; turn them on"
        )
    replicas = session.named("SHOW REPLICA STATUS")
    for channel in replicas:
        broken = [
            f"{part}={channel[part]}"
            for part in ("Replica_IO_Running", "Replica_SQL_Running")
            if channel[part] != "Yes"
        ]
        behind = channel["Seconds_Behind_Source"]
        if broken or behind is None or behind > _MOST_BEHIND:
            reason = channel["Last_SQL_Error"] or channel["Last_IO_Error"] or f"{behind} s behind"
            raise BackupError(
                f"{session.where} is a replica whose replication is broken or late "
                f"({', '.join(broken) or 'late'}: {reason}); mend it, or take the backup from the "
                "source"
            )
    if read_only and not replicas:
        raise BackupError(
            f"{session.where} is read_only and replicates from nobody: somebody stopped it, or a "
            "failover is under way; take the backup from the server that takes writes"
        )
    if not contents.tables(session, database):
        raise BackupError(f"{session.where}: there is no table in {database} to take a backup of")
    if job.spec.package is not None:
        contents.revision(session, database)
