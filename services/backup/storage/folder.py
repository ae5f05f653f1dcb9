"""A folder, as a rule a claim's: written under a temporary name, flushed, then renamed."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from services.backup.storage.storage import Reader, StorageError, Stored, Writer

_PARTIAL: Final = ".partial-"
_OLD_SECONDS: Final = 24 * 3600  # no backup takes so long; its writer is dead


class Folder:
    """See `Storage`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def list(self, folder: str = "") -> list[Stored]:
        found: list[Stored] = []
        try:
            for entry in os.scandir(self._root / folder):
                # Somebody may delete it meanwhile: then it is not there, and the others are.
                with suppress(FileNotFoundError):
                    if entry.is_file() and not entry.name.startswith(_PARTIAL):
                        found.append(Stored(entry.name, entry.stat().st_size))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _trouble(self._root / folder, error) from error
        return sorted(found, key=lambda stored: stored.name)

    @contextmanager
    def read(self, name: str) -> Iterator[Reader]:
        try:
            file = (self._root / name).open("rb")
        except OSError as error:
            raise _trouble(self._root / name, error) from error
        with file:
            yield file

    @contextmanager
    def write(self, name: str) -> Iterator[Writer]:
        path = self._root / name
        # By chance, not by process: pods have the same ids. Of two writers the later rename wins.
        partial = path.parent / f"{_PARTIAL}{secrets.token_hex(4)}-{path.name}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sweep(path.parent)
            try:
                with partial.open("xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(path)
                _flush_folder(path.parent)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"{path}: {error.strerror or error}; nothing was left under that name"
            ) from error

    def delete(self, name: str) -> None:
        path = self._root / name
        try:
            path.unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                _flush_folder(path.parent)
        except OSError as error:
            raise _trouble(path, error) from error

    @staticmethod
    def _sweep(folder: Path) -> None:
        """Of writers that were killed: their files take room and nobody comes back for them."""
        for partial in folder.glob(_PARTIAL + "*"):
            with suppress(FileNotFoundError):
                if time.time() - partial.stat().st_mtime > _OLD_SECONDS:
                    partial.unlink()


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _trouble(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: {error.strerror or error}")
