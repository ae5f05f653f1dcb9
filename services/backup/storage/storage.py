"""What actions and engines need of a place for backups."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


class StorageError(Exception):
    """The storage did not do it; the message says what and why."""


class Reader(Protocol):
    """Gives at most `size` bytes, and none at the end."""

    def read(self, size: int = -1, /) -> bytes: ...


class Writer(Protocol):
    """Takes bytes in order."""

    def write(self, data: bytes, /) -> int: ...

    def flush(self) -> None: ...


@dataclass(frozen=True)
class Stored:
    """A file that is there, whole."""

    name: str
    size: int


class Storage(Protocol):
    """Files by names with slashes. Every method may raise StorageError."""

    def list(self, folder: str = "") -> list[Stored]:
        """What lies directly in a folder, by name; empty when there is no such folder."""
        ...

    def read(self, name: str) -> AbstractContextManager[Reader]:
        """Raises StorageError when there is no such file."""
        ...

    def write(self, name: str) -> AbstractContextManager[Writer]:
        """The file is there under its name, whole and durable, once the context was left without
        an exception; with one, or when the process dies, it is not there (or as it was before)."""
        ...

    def delete(self, name: str) -> None:
        """No error when it is not there."""
        ...
