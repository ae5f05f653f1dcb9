"""Archives the write-ahead log as it is written; what is stored is what may be forgotten.

`pg_receivewal` receives, and a replication slot keeps on the server what the storage lacks. The
slot is moved here, after a segment was stored: moved by the receiver it would follow what lies in
the pod, and a pod that is lost would take the only copy with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import asyncpg
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from services.backup import archiver
from services.backup.engine import BackupError, Job
from services.backup.postgres import files, programs, segments
from services.backup.postgres.sessions import one, session
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

SLOT: Final = "millrace_archive"
_POSITION: Final = "position.json"
_CATCH_UP_SECONDS: Final = 30.0


class Covered(BaseModel):
    """How far the archive reaches: everything committed until `when`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lsn: str
    timeline: int
    when: AwareDatetime


def covered(job: Job, system: str) -> Covered | None:
    """None when nothing was ever archived of this server. Raises BackupError."""
    folder = files.archive_folder(job, system)
    if _POSITION not in {stored.name for stored in job.catalogue.storage.list(folder)}:
        return None
    with job.catalogue.storage.read(f"{folder}/{_POSITION}") as file:
        text = file.read(4096)
    try:
        return Covered.model_validate_json(text)
    except ValidationError:
        raise BackupError(f"{folder}/{_POSITION} is not ours; remove it") from None


def archive(job: Job) -> None:
    """Until SIGTERM; see `archiver.run`."""
    with contextlib.closing(Archive(job)) as one:
        archiver.run(job, one.round)


class Archive:
    """A receiver that runs on, and rounds that put into the storage what it received."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._receiver: _Receiver | None = None
        self._system: str | None = None
        self._stored: str | None = None

    def close(self) -> None:
        """End the receiver."""
        if self._receiver is not None:
            self._receiver.close()
        self._receiver = None

    def round(self) -> datetime:
        """Store what the server had written when the round began, and give that moment.

        Raises BackupError when it could not be had; the next round begins where this one ended.
        """
        try:
            return asyncio.run(self._round())
        except BaseException:
            self.close()
            raise

    async def _round(self) -> datetime:
        async with session(self._job.spec, self._job.spec.server.backup) as admin:
            now = await one(
                admin,
                "SELECT pg_current_wal_flush_lsn()::text AS lsn, clock_timestamp() AS when,"
                " (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,"
                " (SELECT system_identifier::text FROM pg_control_system()) AS system",
            )
            user, _ = self._job.spec.server.backup.login()
            # Another user's receiver would keep that one from being let go.
            here = self._receiver is not None and self._receiver.user == user
            if self._receiver is None or not here or now["system"] != self._system:
                self.close()
                start = await _slot(admin)
                first = segments.holding(now["timeline"], segments.position(start))
                self._receiver = _Receiver(self._job, first)
                self._system, self._stored = now["system"], None
                log.info("archiving", start=start, system=self._system)
            await self._received_until(admin, self._receiver, now["lsn"])
            await self._whole_segments(admin, self._receiver)
            if now["lsn"] != self._stored:
                self._growing_segment(self._receiver)
                # One that grew when the round began may be whole by now.
                await self._whole_segments(admin, self._receiver)
            self._say(Covered(lsn=now["lsn"], timeline=now["timeline"], when=now["when"]))
            self._stored = now["lsn"]
            return now["when"]

    async def _received_until(
        self, admin: asyncpg.Connection, receiver: _Receiver, lsn: str
    ) -> None:
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        while time.monotonic() < deadline:
            if await admin.fetchval(
                "SELECT coalesce(max(write_lsn) >= $2::text::pg_lsn, false)"
                " FROM pg_stat_replication WHERE application_name = $1",
                receiver.name,
                lsn,
            ):
                return
            receiver.check()
            # What has come makes room: a receiver that is far behind must not fill the pod.
            await self._whole_segments(admin, receiver)
            await asyncio.sleep(0.2)
        raise BackupError(f"the log is still received, and not yet until {lsn}")

    async def _whole_segments(self, admin: asyncpg.Connection, receiver: _Receiver) -> None:
        """Oldest first; the slot follows each."""
        for path in receiver.whole():
            self._put(path, path.name)
            self._forget_partial(path.name)
            end = segments.lsn(segments.start(segments.following(path.name)))
            await admin.execute(
                "SELECT pg_replication_slot_advance($1, $2::text::pg_lsn)", SLOT, end
            )
            path.unlink()

    def _growing_segment(self, receiver: _Receiver) -> None:
        for path in receiver.growing():
            # It may have become whole meanwhile.
            with contextlib.suppress(FileNotFoundError):
                self._put(path, files.partial_name(path.name.removesuffix(".partial")))

    @property
    def _folder(self) -> str:
        assert self._system is not None
        return files.archive_folder(self._job, self._system)

    def _put(self, path: Path, name: str) -> None:
        with path.open("rb") as source:
            files.put(self._job, self._folder, name, source)

    def _forget_partial(self, segment: str) -> None:
        storage = self._job.catalogue.storage
        for stored in storage.list(self._folder):
            if stored.name.startswith(files.partial_name(segment)):
                storage.delete(f"{self._folder}/{stored.name}")

    def _say(self, reached: Covered) -> None:
        with self._job.catalogue.storage.write(f"{self._folder}/{_POSITION}") as file:
            file.write(reached.model_dump_json().encode())


class _Receiver:
    """`pg_receivewal` from the beginning of a segment on, into a folder of its own."""

    def __init__(self, job: Job, first: str) -> None:
        self._stack = ExitStack()
        scratch = TemporaryDirectory(dir=job.spec.scratch, prefix="wal")
        self._folder = Path(self._stack.enter_context(scratch))
        self.name = f"millrace_{self._folder.name}"
        """What the server calls it; one of an earlier run may linger there."""
        # It goes on after the last whole segment it finds: this one, without which it would begin
        # at the server's present position. It takes no room.
        self._seed = segments.following(first, -1)
        with (self._folder / self._seed).open("wb") as file:
            file.truncate(segments.SIZE)
        self._said = self._folder / "said"
        account = programs.logged_in(job.spec, job.spec.server.backup)
        environment = self._stack.enter_context(account)
        self.user = environment["PGUSER"]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(  # noqa: S603
                [
                    str(programs.BINARIES / "pg_receivewal"),
                    f"--directory={self._folder}",
                    "--no-loop",
                    "--no-password",
                    "--no-sync",  # the server keeps what is not stored
                    "--status-interval=1",
                ],
                env={**environment, "PGAPPNAME": self.name},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._stack.close()

    def check(self) -> None:
        """Raises BackupError with its last words when it has ended."""
        if (code := self._process.poll()) is not None:
            said = self._said.read_text(errors="replace")
            raise BackupError(programs.failed("pg_receivewal", code, said))

    def whole(self) -> list[Path]:
        """Segments that were received to their end, oldest first."""
        found = (path for path in self._folder.iterdir() if segments.is_segment(path.name))
        return sorted(path for path in found if path.name != self._seed)

    def growing(self) -> list[Path]:
        """The segment that the server writes to."""
        return list(self._folder.glob("*.partial"))


async def _slot(admin: asyncpg.Connection) -> str:
    """Where the archive goes on."""
    row = await admin.fetchrow(
        "SELECT restart_lsn::text AS lsn, wal_status FROM pg_replication_slots"
        " WHERE slot_name = $1",
        SLOT,
    )
    if row is not None and row["wal_status"] == "lost":
        log.error(
            "archive_gap",
            reason="the archiver was away for longer than the server keeps its log"
            " (max_slot_wal_keep_size); no moment in the gap can be restored, and none after it"
            " until the next backup: take one now",
        )
        await admin.execute("SELECT pg_drop_replication_slot($1)", SLOT)
        row = None
    if row is None:
        await admin.execute("SELECT pg_create_physical_replication_slot($1, true)", SLOT)
        return await admin.fetchval(
            "SELECT restart_lsn::text FROM pg_replication_slots WHERE slot_name = $1", SLOT
        )
    return row["lsn"]
