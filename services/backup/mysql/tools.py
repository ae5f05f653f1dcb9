"""MySQL's own programs: told whom to log in as by a private file, never on the command line."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from services.backup.engine import BackupError
from services.backup.spec import Account, Server
from services.shared.runtime.settings import read_secret

# Their times are in the zone of the process.
ENVIRONMENT = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TZ": "UTC", "LANG": "C.UTF-8"}


@contextmanager
def option_file(server: Server, account: Account) -> Iterator[Path]:
    """A file for --defaults-file that logs `account` in; gone afterwards."""
    with options(
        {
            "host": server.host,
            "port": str(server.port),
            "protocol": "TCP",
            "user": account.user,
            "password": read_secret(account.password_file),
            "ssl-mode": "VERIFY_IDENTITY",
            "ssl-ca": str(server.ca_file),
        }
    ) as path:
        yield path


@contextmanager
def options(given: dict[str, str]) -> Iterator[Path]:
    """A private file of options of section [client]; gone afterwards."""
    descriptor, name = tempfile.mkstemp(prefix="options-", suffix=".cnf")  # 0600
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write("[client]\n")
            for key, value in given.items():
                escaped = value.replace("\\", "\\\\").replace('"', '\\"')
                file.write(f'{key} = "{escaped}"\n')
        yield path
    finally:
        path.unlink(missing_ok=True)


class Tool:
    """A program that runs, with what it says kept in a file: a full pipe would stop it."""

    def __init__(self, command: Sequence[str], *, stdin: IO[bytes] | int | None = None) -> None:
        self._name = command[0]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self.process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env=ENVIRONMENT,
            )
        except OSError as error:
            raise BackupError(f"{self._name}: {error.strerror}; the image lacks it") from error

    def __enter__(self) -> Tool:
        return self

    def __exit__(self, *_: object) -> None:
        """It does not outlive who started it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._said.close()

    @property
    def output(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def finish(self) -> None:
        """Wait for its end. Raises BackupError with its words when it failed."""
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        if self.process.wait() != 0:
            raise BackupError(f"{self._name} failed: {self.words()}")

    def words(self) -> str:
        """The end of what it wrote to standard error."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return "; ".join(lines[-5:])[-1000:] or f"exit code {self.process.returncode}"


class Feed:
    """Writes to a program; when that has ended early, its words are the error."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool

    def write(self, data: bytes, /) -> int:
        assert self._tool.process.stdin is not None
        try:
            self._tool.process.stdin.write(data)
        except BrokenPipeError:
            self._tool.finish()
            raise
        return len(data)

    def flush(self) -> None:
        """At its end."""


def feed(command: Sequence[str]) -> Tool:
    """A program that is written to, and has nothing to say on its output."""
    tool = Tool(command, stdin=subprocess.PIPE)
    tool.output.close()
    return tool
