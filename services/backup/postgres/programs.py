"""Runs the server's own programs; passwords reach them in a file, never on a command line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

from services.backup.engine import BackupError
from services.backup.spec import Account, BackupSpec

BINARIES: Final = Path("/usr/lib/postgresql/17/bin")
_SAID: Final = 1500  # of what a program said, for a message

Environment = Mapping[str, str]


def plain() -> dict[str, str]:
    """Without what libpq would pick up from ours; messages in English, times in UTC."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return kept | {"LC_ALL": "C", "TZ": "UTC", "PGTZ": "UTC"}


@contextmanager
def logged_in(spec: BackupSpec, account: Account) -> Iterator[Environment]:
    """What makes libpq log in as `account`, over TLS with the server's name verified.

    User and password are read now: whoever starts a program later asks again.
    """
    server = spec.server
    with TemporaryDirectory(dir=spec.scratch) as folder:
        file = Path(folder) / "pgpass"
        user, password = account.login()
        secret = password.replace("\\", "\\\\").replace(":", "\\:")
        file.touch(0o600)
        file.write_text(f"*:*:*:*:{secret}\n")
        yield plain() | {
            "PGHOST": server.host,
            "PGPORT": str(server.port),
            "PGUSER": user,
            "PGPASSFILE": str(file),
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(server.ca_file),
            "PGSSLMINPROTOCOLVERSION": "TLSv1.3",
            "PGCONNECT_TIMEOUT": "10",
        }


def run(
    name: str,
    arguments: Sequence[str],
    environment: Environment | None = None,
    *,
    stdin: IO[bytes] | None = None,
) -> str:
    """What it said on both its outputs. Raises BackupError with it when it fails."""
    done = subprocess.run(  # noqa: S603
        [str(BINARIES / name), *arguments],
        env=dict(plain() if environment is None else environment),
        stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    if done.returncode:
        raise BackupError(failed(name, done.returncode, said))
    return said


@contextmanager
def reading(
    name: str, arguments: Sequence[str], environment: Environment, folder: Path
) -> Iterator[tuple[IO[bytes], Path]]:
    """Its output as a stream, and the file with what it says on the other one.

    Raises BackupError when it fails: what was read until then is not whole.
    """
    said = folder / f"{name}.said"
    with said.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603
            [str(BINARIES / name), *arguments],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    try:
        with process.stdout as stream:
            yield stream, said
        code = process.wait()
    finally:
        process.kill()
        process.wait()
    if code:
        raise BackupError(failed(name, code, said.read_text(errors="replace")))


def failed(name: str, code: int, said: str) -> str:
    """A message with the end of what a program said, where its reason stands."""
    return f"{name} failed ({code}): {said.strip()[-_SAID:] or 'it said nothing'}"
