"""Taking a backup: mysqldump's stream, and what its tables held in the same snapshot."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from services.backup.catalogue import Entry, Origin, Position, new_name
from services.backup.encryption import seal
from services.backup.engine import BackupError, Job
from services.backup.mysql import health
from services.backup.mysql.contents import contents, revision
from services.backup.mysql.session import Session, alone, connect, still_alone
from services.backup.mysql.tools import Tool, option_file
from services.backup.streams import Compressing, Measured

SUFFIX: Final = ".sql.gz"
_BEGUN: Final = b"-- Table structure for table"
_BEGIN_SECONDS: Final = 30


def mysqldump(options: Path, database: str) -> list[str]:
    """The command. The dump names no database, so that it can be loaded into any."""
    return [
        "mysqldump",
        f"--defaults-file={options}",
        "--single-transaction",  # InnoDB's snapshot: nobody waits for the dump
        "--skip-lock-tables",
        "--set-gtid-purged=OFF",  # the position is in the manifest; a loaded dump is new changes
        "--no-tablespaces",  # else it needs PROCESS
        "--routines",
        "--triggers",
        "--events",
        "--hex-blob",
        "--quick",
        "--tz-utc",
        "--default-character-set=utf8mb4",
        "--comments",  # its last line says that it is whole
        database,
    ]


def take(job: Job) -> Entry:
    """See `Engine`."""
    spec = job.spec
    with (
        connect(spec.server, spec.server.backup) as session,
        alone(session, spec.database),
        connect(spec.server, spec.server.backup) as snapshot,
        option_file(spec.server, spec.server.backup) as options,
    ):
        started = datetime.now(UTC)  # alone: nobody else's backup gets the same name
        health.check(session, job)
        # A migration half way would end the dump: changes of structure wait for it.
        session.rows("LOCK INSTANCE FOR BACKUP")
        name = new_name(spec.prefix, started, suffix=SUFFIX, encrypted=spec.encryption is not None)
        with (
            job.catalogue.storage.write(job.catalogue.path(name)) as file,
            ExitStack() as stack,
        ):
            start = lambda: stack.enter_context(Tool(mysqldump(options, spec.database)))  # noqa: E731
            begun = _begin(session, snapshot, start, spec.server.host)
            measured = Measured(file)
            recipients = seal(Compressing(begun.stream), measured, spec.encryption)
            begun.tool.finish()
            found = contents(snapshot, spec.database)
            current = revision(snapshot, spec.database) if spec.package else None
            still_alone(session, spec.database)
        entry = Entry(
            name=name,
            engine="mysql",
            database=spec.database,
            started=started,
            taken=begun.taken,
            finished=datetime.now(UTC),
            size=measured.size,
            sha256=measured.sha256,
            position=begun.position,
            origin=begun.origin,
            revision=current,
            tables=found,
            recipients=recipients,
        )
        job.catalogue.add(entry)
    return entry


@dataclass(frozen=True)
class _Begun:
    tool: Tool
    stream: _Output
    taken: datetime
    position: Position
    origin: Origin


class _Output:
    """What a tool has said so far, and then the rest."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._said = b""

    def read(self, size: int = -1, /) -> bytes:
        if self._said:
            taken, self._said = self._said[:size], self._said[size:]
            return taken
        return os.read(self._descriptor, size)

    def wait_for(self, words: bytes, seconds: float) -> None:
        """Until they were said, or the end. Raises BackupError after `seconds`."""
        deadline = time.monotonic() + seconds
        while words not in self._said:
            ready, _, _ = select.select(
                [self._descriptor], [], [], max(0, deadline - time.monotonic())
            )
            if not ready:
                raise BackupError(f"mysqldump did not begin within {seconds:.0f} s; try again")
            piece = os.read(self._descriptor, 65536)
            if not piece:
                return
            self._said += piece


def _begin(session: Session, snapshot: Session, start: Callable[[], Tool], host: str) -> _Begun:
    """Both snapshots, the dump's and ours, of one moment: nothing commits in between."""
    session.rows("FLUSH TABLES WITH READ LOCK")
    try:
        snapshot.rows("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        snapshot.rows("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        taken, version, server_id = snapshot.row(
            "SELECT UTC_TIMESTAMP(6), VERSION(), @@global.server_uuid"
        )
        (log,) = snapshot.named("SHOW BINARY LOG STATUS")
        tool = start()
        stream = _Output(tool.output.fileno())
        stream.wait_for(_BEGUN, _BEGIN_SECONDS)
    finally:
        session.rows("UNLOCK TABLES")
    return _Begun(
        tool,
        stream,
        taken.replace(tzinfo=UTC),
        Position(
            gtids=log["Executed_Gtid_Set"].replace("\n", ""),
            log_file=log["File"],
            log_offset=log["Position"],
        ),
        Origin(host=host, version=version, id=server_id),
    )
