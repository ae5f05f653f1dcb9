"""Bytes on their way to and from a backup, a piece at a time however long it is."""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

from services.backup.engine import BackupError
from services.backup.storage.storage import Reader, Writer

PIECE: Final = 256 * 1024
_GZIP: Final = 31  # zlib's window size for gzip with its header and checksum


class Measured:
    """Passes on what is written, or read, and knows how much it was and its SHA-256."""

    def __init__(self, inner: Reader | Writer) -> None:
        self._inner = inner
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def read(self, size: int = -1, /) -> bytes:
        return self._count(self._inner.read(size))  # type: ignore[union-attr]

    def write(self, data: bytes, /) -> int:
        self._count(data)
        self._inner.write(data)  # type: ignore[union-attr]
        return len(data)

    def flush(self) -> None:
        """Nothing is held back here."""

    def _count(self, data: bytes) -> bytes:
        self._hash.update(data)
        self.size += len(data)
        return data


class Compressing:
    """Reads as the gzip form of what it reads."""

    def __init__(self, inner: Reader, *, level: int = 6) -> None:
        self._inner = inner
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
        self._ready = bytearray()
        self._ended = False

    def read(self, size: int = -1, /) -> bytes:
        wanted = size if size >= 0 else None
        while not self._ended and (wanted is None or len(self._ready) < wanted):
            piece = self._inner.read(PIECE)
            self._ready += self._deflate.compress(piece) if piece else self._deflate.flush()
            self._ended = not piece
        taken = bytes(self._ready[:wanted])
        del self._ready[: len(taken)]
        return taken


class Expanding:
    """Takes gzip and passes on what it holds; a few kB may hold gigabytes, so never all at once."""

    def __init__(self, inner: Writer) -> None:
        self._inner = inner
        self._inflate = zlib.decompressobj(_GZIP)

    def write(self, data: bytes, /) -> int:
        """Raises BackupError for what is no gzip, or goes on after its end."""
        rest = data
        while rest:
            if self._inflate.eof:
                raise BackupError("bytes after the end of the gzip stream")
            try:
                self._inner.write(self._inflate.decompress(rest, PIECE))
            except zlib.error as error:
                raise BackupError(f"not whole gzip ({error})") from None
            rest = self._inflate.unconsumed_tail or self._inflate.unused_data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back that could be given."""

    def finish(self) -> None:
        """Raises BackupError when the end is missing."""
        try:
            while piece := self._inflate.decompress(self._inflate.unconsumed_tail, PIECE):
                self._inner.write(piece)
        except zlib.error as error:
            raise BackupError(f"not whole gzip ({error})") from None
        if not self._inflate.eof:
            raise BackupError("it is truncated: the end of the gzip stream is missing")


class Tail:
    """Passes everything on and remembers the first and the last bytes."""

    def __init__(self, inner: Writer, *, keep: int = 4096) -> None:
        self._inner = inner
        self._keep = keep
        self.head = b""
        self.tail = b""
        self.size = 0

    def write(self, data: bytes, /) -> int:
        if len(self.head) < self._keep:
            self.head += data[: self._keep - len(self.head)]
        self.tail = (self.tail + data[-self._keep :])[-self._keep :]
        self.size += len(data)
        self._inner.write(data)
        return len(data)

    def flush(self) -> None:
        self._inner.flush()


class Nowhere:
    """Takes what only had to be read."""

    def write(self, data: bytes, /) -> int:
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""
