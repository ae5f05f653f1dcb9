"""What a base backup says of itself.

Source: PostgreSQL, "Making a Base Backup Using the Low Level API" (backup_label), and the ustar
format: a block of 512 bytes that begins with the name, and then what the file holds.
"""

from __future__ import annotations

import re
from typing import Final

from services.backup.engine import BackupError
from services.backup.storage.storage import Reader

_BLOCK: Final = 512
_NAME: Final = b"backup_label\0"
_START: Final = re.compile(rb"START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+) ")


class Labelled:
    """Passes on the tar archive of a base backup, and knows its label, the first file in it."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self._head = b""

    def read(self, size: int = -1, /) -> bytes:
        piece = self._inner.read(size)
        self._head += piece[: 2 * _BLOCK - len(self._head)]
        return piece

    @property
    def start(self) -> str:
        """The position (LSN) from which on a restore needs the log, once it was read.

        Raises BackupError when the archive does not begin with a label.
        """
        found = _START.match(self._head, _BLOCK)
        if found is None or not self._head.startswith(_NAME):
            raise BackupError("the base backup does not begin with its label; is it PostgreSQL's?")
        return found[1].decode()
