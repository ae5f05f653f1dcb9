"""The actions of the command line; each leaves one line in the log for who audits."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from services.backup import retention
from services.backup.catalogue import Known, checked_name
from services.backup.engine import BackupError, Engine, Job
from services.shared.runtime import logging


def take(engine: Engine, job: Job, *, then_drill: bool) -> None:
    """A new backup, and with `then_drill` its proof."""
    entry = engine.take(job)
    logging.get_logger(__name__).info(
        "backup_taken",
        database=entry.database,
        backup=entry.name,
        bytes=entry.size,
        sha256=entry.sha256,
        position=str(entry.position),
        revision=entry.revision,
        rows=sum(table.rows for table in entry.tables.values()),
        encrypted=bool(entry.recipients),
        seconds=round((entry.finished - entry.started).total_seconds(), 3),
    )
    if then_drill:
        drill(engine, job, entry.name)


def drill(engine: Engine, job: Job, name: str | None) -> None:
    """Restore one, the newest by default, on the side. Raises BackupError when it did not pass."""
    known = job.catalogue.get(checked_name(name)) if name else job.catalogue.newest()
    proof = engine.drill(job, known.entry)
    job.catalogue.prove(proof)
    if not proof.passed:
        raise BackupError(
            f"the drill of {proof.name} failed: {proof.reason}; take another backup and drill it, "
            "and keep this one for who finds out why"
        )
    logging.get_logger(__name__).info(
        "backup_proven",
        database=job.spec.database,
        backup=proof.name,
        seconds=proof.seconds,
        server=proof.version,
    )


def restore(engine: Engine, job: Job, name: str, *, migrate: bool) -> None:
    """Put a backup in place of the live data."""
    entry = job.catalogue.get(checked_name(name)).entry
    _say_restored(job, engine.restore(job, entry, migrate=migrate).__dict__)


def pitr(engine: Engine, job: Job, to: str, *, migrate: bool) -> None:
    """Put the data of a moment in place of the live ones."""
    _say_restored(job, engine.pitr(job, moment(to), migrate=migrate).__dict__)


def unlock(engine: Engine, job: Job) -> None:
    """Clean up after a restore that was interrupted."""
    logging.get_logger(__name__).info(
        "restore_cleaned_up", database=job.spec.database, did=engine.unlock(job)
    )


def prune(engine: Engine, job: Job) -> None:
    """Delete what retention lets go."""
    stays, goes = retention.split(job.catalogue.all(), job.spec.retention, datetime.now(UTC))
    for one in goes:
        job.catalogue.forget(one.entry)
    # The archive after the backups: what a backup needs goes later than the backup.
    archived = engine.prune(job, stays)
    logging.get_logger(__name__).info(
        "backups_pruned",
        database=job.spec.database,
        deleted=[one.entry.name for one in goes],
        kept=len(stays),
        archive_deleted=len(archived),
    )


def list_backups(job: Job, *, as_json: bool) -> str:
    """What is there, oldest first: a table, or one JSON object a line."""
    rows = [_row(one) for one in job.catalogue.all()]
    if as_json:
        return "\n".join(json.dumps(row) for row in rows)
    heads = ("backup", "age", "bytes", "sha256", "position", "encrypted", "proven")
    lines = [
        (
            row["backup"],
            _age(row["age_seconds"]),
            str(row["bytes"]),
            row["sha256"][:12],
            row["position"],
            "yes" if row["encrypted"] else "no",
            row["proven"] or row["proof"],
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [heads, *lines]
    )


def moment(text: str) -> datetime:
    """A time of RFC 3339 with its zone. Raises BackupError."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise BackupError(f"{text!r} is not a time with its zone; write it as 2026-01-02T03:04:05Z")
    return parsed.astimezone(UTC)


def _row(known: Known) -> dict[str, Any]:
    entry, proof = known.entry, known.proof
    return {
        "backup": entry.name,
        "taken": _stamp(entry.taken),
        "age_seconds": round((datetime.now(UTC) - entry.taken).total_seconds()),
        "bytes": entry.size,
        "sha256": entry.sha256,
        "position": str(entry.position),
        "revision": entry.revision,
        "encrypted": bool(entry.recipients),
        "proven": _stamp(proof.when) if proof and proof.passed else None,
        "proof": "not yet" if proof is None else ("passed" if proof.passed else "FAILED"),
    }


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _age(seconds: int) -> str:
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"


def _say_restored(job: Job, restored: dict[str, object]) -> None:
    said = {
        key: _stamp(value) if isinstance(value, datetime) else value
        for key, value in restored.items()
    }
    logging.get_logger(__name__).info("restored", database=job.spec.database, **said)
