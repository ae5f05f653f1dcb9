"""A server of its own inside the pod, for an hour's work; nobody else can reach it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.backup.engine import BackupError
from services.backup.mysql.session import Session, connect_socket, quote
from services.backup.mysql.tools import ENVIRONMENT

_START_SECONDS: Final = 120
PREPARED: Final = Path("/opt/mysql-data.tar.gz")
"""Data of a server that never ran. The Dockerfile makes them: to unpack them takes a tenth of the
time that a server needs to initialise itself."""
# Nothing of it has to outlive the pod, so nothing waits for a disk.
_SETTINGS: Final = (
    "--skip-networking",
    "--skip-log-bin",
    "--mysqlx=OFF",
    "--performance-schema=OFF",
    # Keys are for connections from elsewhere; to make them takes longer than to open the tables.
    "--auto-generate-certs=OFF",
    "--caching-sha2-password-auto-generate-rsa-keys=OFF",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=OFF",
    "--innodb-buffer-pool-size=128M",
    "--max-allowed-packet=1G",
    "--default-time-zone=+00:00",
    # As the servers have it: a table that is made by a replayed change may not name its own.
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_unicode_ci",
)


@dataclass(frozen=True)
class Scratch:
    """Where it can be met."""

    socket: Path
    session: Session

    @property
    def login(self) -> dict[str, str]:
        """Options of its administrator."""
        return {"socket": str(self.socket), "user": "root"}


@contextmanager
def scratch_server(room: Path, database: str) -> Iterator[Scratch]:
    """An empty server with an empty `database`; gone afterwards. Raises BackupError."""
    room.mkdir(parents=True, exist_ok=True)
    # A socket's path has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="m-", dir=room))
    try:
        _fill(folder)
        process = _start(folder)
        try:
            with _connected(folder, process) as session:
                session.rows(f"CREATE DATABASE {quote(database)}")
                yield Scratch(folder / "s", session)
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command(folder: Path, *more: str) -> list[str]:
    command = ["mysqld", "--no-defaults", f"--datadir={folder}/data", f"--socket={folder}/s"]
    command += [f"--pid-file={folder}/pid", f"--tmpdir={folder}", f"--log-error={folder}/log"]
    command += ["--secure-file-priv=NULL", *_SETTINGS, *more]
    # It refuses to run as root unless told so.
    return [*command, "--user=root"] if os.geteuid() == 0 else command


def _fill(folder: Path) -> None:
    """The data folder of a new server."""
    if PREPARED.exists():
        try:
            with tarfile.open(PREPARED) as archive:
                archive.extractall(folder / "data", filter="data")
        except OSError as error:
            raise BackupError(f"no room for a scratch server in {folder}: {error}") from error
        return
    done = subprocess.run(  # noqa: S603
        _command(folder, "--initialize-insecure"),
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise _failed(folder)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603
        _command(folder),
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@contextmanager
def _connected(folder: Path, process: subprocess.Popen[bytes]) -> Iterator[Session]:
    deadline = time.monotonic() + _START_SECONDS
    while not (folder / "s").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise _failed(folder)
        time.sleep(0.05)
    with connect_socket(folder / "s") as session:
        yield session


def _failed(folder: Path) -> BackupError:
    try:
        lines = (folder / "log").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    errors = [line for line in lines if "[ERROR]" in line][-3:] or lines[-3:]
    return BackupError(
        f"the scratch server did not start in {folder}: {'; '.join(errors) or 'it said nothing'}"
    )
