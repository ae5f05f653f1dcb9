"""A base backup with all of the log that it takes to reach a known instant."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import asyncpg

from services.backup.catalogue import Entry, Origin, Position, new_name
from services.backup.engine import BackupError, Job
from services.backup.postgres import files, programs, segments, tables, unfinished
from services.backup.postgres.label import Labelled
from services.backup.postgres.sessions import alone, one, session
from services.backup.postgres.still import Instant, instant
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

_SLOT: Final = "millrace_take"

_STATE: Final = """
SELECT pg_is_in_recovery() AS replica, current_setting('server_version') AS version,
       (SELECT system_identifier::text FROM pg_control_system()) AS system,
       (SELECT coalesce(sum(checksum_failures), 0) FROM pg_stat_database) AS rotten,
       current_setting('wal_level') AS wal_level,
       current_setting('full_page_writes') AS whole_pages,
       pg_size_bytes(current_setting('wal_segment_size')) AS segment
"""


async def take(job: Job) -> Entry:
    """Files first, manifest last. Raises BackupError; what it stored until then is removed, by the
    next run where this one was killed."""
    spec = job.spec
    started = datetime.now(UTC)
    async with session(spec, spec.server.backup) as admin:
        await alone(admin, "backup")
        state = await _healthy(admin)
        name = new_name(spec.prefix, started, suffix="", encrypted=False)
        unfinished.sweep(job)
        unfinished.begin(job, name)
        stored: list[files.Put] = []
        try:
            await _slot(admin)
            base, start = _base(job, name)
            stored.append(base)
            # It was made at the checkpoint before this backup's: kept from there on, the log would
            # be as much longer, and the archive with it.
            await admin.execute(
                "SELECT pg_replication_slot_advance($1, $2::text::pg_lsn)", _SLOT, start
            )
            at = await instant(spec, admin, name)
            stored += _log(job, name, start, at)
            entry = _entry(job, (name, started), state, stored, at).model_copy(
                update={"revision": await _revision(job)}
            )
            job.catalogue.add(entry)
        finally:
            await _drop_slot(admin)
            unfinished.sweep(job)
    return entry


async def _healthy(admin: asyncpg.Connection) -> asyncpg.Record:
    state = await one(admin, _STATE)
    if state["rotten"]:
        raise BackupError(
            f"the server found {state['rotten']} pages with a wrong checksum: a backup of it would"
            " carry them on. Restore the newest proven backup; pg_stat_database says where they"
            " are, and pg_stat_reset() forgets them"
        )
    if state["replica"]:
        raise BackupError("the server is in recovery: wait until it takes writes")
    if state["wal_level"] == "minimal" or state["whole_pages"] != "on":
        raise BackupError("the server needs wal_level = replica and full_page_writes = on")
    if state["segment"] != segments.SIZE:
        raise BackupError(
            f"the server's log has segments of {state['segment']} bytes, not {segments.SIZE}:"
            " it was initialised with another --wal-segsize; initialise it without"
        )
    return state


async def _slot(admin: asyncpg.Connection) -> None:
    """Keeps the log from here on until it is stored, however long the base backup takes."""
    await _drop_slot(admin)
    await admin.execute("SELECT pg_create_physical_replication_slot($1, true)", _SLOT)


async def _drop_slot(admin: asyncpg.Connection) -> None:
    # Nobody else's: the lock of the backup is ours.
    await admin.execute(
        "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots"
        " WHERE slot_name = $1 AND active",
        _SLOT,
    )
    await admin.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
        _SLOT,
    )


def _base(job: Job, name: str) -> tuple[files.Put, str]:
    """The files, and the position (LSN) from which on a restore needs the log."""
    arguments = (
        "--pgdata=-",
        "--format=tar",
        "--wal-method=none",
        "--checkpoint=fast",
        "--manifest-checksums=SHA256",
        "--no-password",
    )
    with (
        programs.logged_in(job.spec, job.spec.server.backup) as environment,
        TemporaryDirectory(dir=job.spec.scratch) as folder,
        programs.reading("pg_basebackup", arguments, environment, Path(folder)) as (stream, _),
    ):
        labelled = Labelled(stream)
        return files.put(job, job.catalogue.path(name), files.BASE, labelled), labelled.start


def _log(job: Job, name: str, start: str, at: Instant) -> list[files.Put]:
    with TemporaryDirectory(dir=job.spec.scratch) as folder:
        with programs.logged_in(job.spec, job.spec.server.backup) as environment:
            programs.run(
                "pg_receivewal",
                [
                    f"--directory={folder}",
                    f"--slot={_SLOT}",
                    f"--endpos={at.lsn}",
                    "--no-loop",
                    "--no-password",
                ],
                environment,
            )
        stored: list[files.Put] = []
        first = segments.holding(at.timeline, segments.position(start))
        last = segments.holding(at.timeline, segments.position(at.lsn) - 1)
        received = {path.name.removesuffix(".partial"): path for path in Path(folder).iterdir()}
        wanted = segments.unbroken(first, received)
        if last not in wanted:
            raise BackupError(
                f"of the log {first} to {last} was not received whole: the server let go of it"
                " while the backup ran (max_slot_wal_keep_size); raise that, or take it when less"
                " is written"
            )
        for segment in wanted[: wanted.index(last) + 1]:
            with received[segment].open("rb") as source:
                stored.append(files.put(job, job.catalogue.path(name), segment, source))
    return stored


async def _revision(job: Job) -> str | None:
    async with session(job.spec, job.spec.server.backup, job.spec.database) as own:
        return await tables.revision(own)


def _entry(
    job: Job,
    begun: tuple[str, datetime],
    state: asyncpg.Record,
    stored: list[files.Put],
    at: Instant,
) -> Entry:
    name, started = begun
    sums = {f"{name}/{put.name}": put.sha256 for put in stored}
    whole = hashlib.sha256("".join(f"{k} {v}\n" for k, v in sorted(sums.items())).encode())
    return Entry(
        name=name,
        engine="postgres",
        database=job.spec.prefix,
        started=started,
        taken=at.when,
        finished=datetime.now(UTC),
        size=sum(put.size for put in stored),
        sha256=whole.hexdigest(),
        files=sums,
        position=Position(lsn=at.lsn, timeline=at.timeline),
        origin=Origin(host=job.spec.server.host, version=state["version"], id=state["system"]),
        revision=None,
        tables=at.tables,
        recipients=stored[0].recipients,
    )
