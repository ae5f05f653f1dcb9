"""A server of the pod's own, on a socket nobody else reaches, recovered from a backup."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import asyncpg

from services.backup.catalogue import Entry
from services.backup.engine import BackupError, Job
from services.backup.postgres import files, programs, segments, tables

_PORT: Final = 5432  # of the socket's name; it listens on no address
_START_SECONDS: Final = 3600
# A recovery refuses to start with less than the server had that wrote the log.
_AT_LEAST: Final = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}


class EndedEarlyError(BackupError):
    """The log ended before the recovery's target."""


@dataclass(frozen=True)
class Scratch:
    """Where a backup was unpacked, and the server in it once it runs."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def log(self) -> Path:
        return self.root / "wal"

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes libpq talk to it."""
        return programs.plain() | {
            "PGHOST": str(self.root),
            "PGPORT": str(_PORT),
            "PGUSER": "postgres",
        }

    async def connect(self, database: str = "postgres") -> asyncpg.Connection:
        return await asyncpg.connect(
            host=str(self.root),
            port=_PORT,
            user="postgres",
            database=database,
            ssl=False,
            server_settings=tables.SETTINGS,
        )


@asynccontextmanager
async def unpacked(job: Job, entry: Entry) -> AsyncIterator[Scratch]:
    """The backup's files, each as the manifest says. Raises BackupError when one is not."""
    with TemporaryDirectory(dir=job.spec.scratch, prefix="pg") as root:
        scratch = Scratch(Path(root))
        scratch.log.mkdir()
        for path, sha256 in entry.files.items():
            name = path.rpartition("/")[2].partition(".gz")[0]
            full = job.catalogue.path(path)
            if name == files.BASE:
                files.get_folder(job, full, scratch.data, sha256)
            elif segments.is_segment(name):
                files.get_file(job, full, scratch.log / name, sha256)
            else:
                raise BackupError(f"{path} is no file of a base backup; the manifest is not ours")
        if not (scratch.data / "backup_manifest").is_file():
            raise BackupError(f"{entry.name} holds no base backup")
        # Every file of the server against the manifest it made itself, and every record of the log.
        programs.run(
            "pg_verifybackup",
            [f"--wal-directory={scratch.log}", "--quiet", str(scratch.data)],
        )
        yield scratch


@asynccontextmanager
async def running(scratch: Scratch, target: Mapping[str, str]) -> AsyncIterator[None]:
    """Recover to `target` and take connections. Raises EndedEarlyError or BackupError."""
    _configure(scratch, target)
    said = scratch.root / "server.log"
    process = _start(scratch, said)
    try:
        _wait_until_writable(scratch, process.poll, said)
        yield
    finally:
        process.send_signal(2)  # fast: sessions end, a checkpoint is written
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(scratch: Scratch, said: Path) -> subprocess.Popen[bytes]:
    with said.open("wb") as log:
        return subprocess.Popen(  # noqa: S603
            [
                str(programs.BINARIES / "postgres"),
                "-D",
                str(scratch.data),
                "-c",
                f"config_file={scratch.root}/postgresql.conf",
            ],
            env=dict(programs.plain()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _configure(scratch: Scratch, target: Mapping[str, str]) -> None:
    control = dict(
        re.findall(
            r"^(.+?):\s+(.+)$", programs.run("pg_controldata", [str(scratch.data)]), re.MULTILINE
        )
    )
    values = {name: control[label] for name, label in _AT_LEAST.items()} | {
        "listen_addresses": "",
        "port": str(_PORT),
        "unix_socket_directories": str(scratch.root),
        "hba_file": f"{scratch.root}/pg_hba.conf",
        "shared_buffers": "64MB",
        "dynamic_shared_memory_type": "mmap",  # a pod's /dev/shm may be small
        "fsync": "off",  # it lives as long as the pod does
        "autovacuum": "off",
        "jit": "off",
        "archive_mode": "off",
        "restore_command": f'cp "{scratch.log}/%f" "%p"',
        "recovery_target_timeline": "current",
        "recovery_target_action": "promote",
        "logging_collector": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    text = "".join(f"{key} = '{value}'\n" for key, value in (values | dict(target)).items())
    (scratch.root / "postgresql.conf").write_text(text)
    (scratch.root / "pg_hba.conf").write_text("local all postgres trust\n")
    for name in ("postgresql.auto.conf", "standby.signal"):
        (scratch.data / name).unlink(missing_ok=True)
    (scratch.data / "postgresql.auto.conf").touch(0o600)
    (scratch.data / "recovery.signal").touch(0o600)


def _wait_until_writable(scratch: Scratch, ended: Callable[[], int | None], said: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    arguments = ["--no-psqlrc", "--tuples-only", "--no-align", "--dbname=postgres"]
    arguments.append("--command=SELECT pg_is_in_recovery()")
    while True:
        if ended() is not None:
            words = said.read_text(errors="replace")
            if "recovery ended before configured recovery target was reached" in words:
                raise EndedEarlyError("the log ends before the moment that was asked for")
            raise BackupError(f"the scratch server did not recover: {words.strip()[-1500:]}")
        try:
            if programs.run("psql", arguments, scratch.environment).strip() == "f":
                return
        except BackupError:
            pass  # not yet
        if time.monotonic() > deadline:
            raise BackupError(f"the scratch server did not recover within {_START_SECONDS} s")
        time.sleep(0.1)
