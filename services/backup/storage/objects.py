"""Object storage: S3 and what speaks it. A file is there once its upload was completed."""

from __future__ import annotations

import os
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from services.backup.spec import ObjectStorageSpec
from services.backup.storage.storage import Reader, StorageError, Stored, Writer
from services.shared.runtime.settings import read_secret

_PART: Final = 16 * 2**20
"""S3 takes 10,000 parts of a file: 160 GB of it."""
_AHEAD: Final = 16
"""Pieces that may wait for the network; then who writes waits."""


class ObjectStorage:
    """See `Storage`."""

    def __init__(self, spec: ObjectStorageSpec) -> None:
        self._spec = spec
        self._where = f"{spec.endpoint or 's3:/'}/{spec.bucket}"

    def list(self, folder: str = "") -> list[Stored]:
        try:
            found = obstore.list_with_delimiter(self._store(), prefix=folder or None)
        except (BaseError, OSError) as error:
            raise self._trouble(folder, error) from error
        return sorted(
            (Stored(it["path"].rsplit("/", 1)[-1], it["size"]) for it in found["objects"]),
            key=lambda stored: stored.name,
        )

    @contextmanager
    def read(self, name: str) -> Iterator[Reader]:
        try:
            pieces = iter(obstore.get(self._store(), name).stream(min_chunk_size=2**18))
        except (BaseError, OSError) as error:
            raise self._trouble(name, error) from error
        yield _Pieces(self, name, pieces)

    @contextmanager
    def write(self, name: str) -> Iterator[Writer]:
        upload = _Upload()
        thread = threading.Thread(target=upload.run, args=(self._store(), name), daemon=True)
        thread.start()
        try:
            yield upload
        except BaseException:
            upload.abandon()
            thread.join()
            if upload.error is not None and not isinstance(upload.error, _AbandonedError):
                raise self._trouble(name, upload.error) from upload.error
            raise
        upload.finish()
        thread.join()
        if upload.error is not None:
            raise self._trouble(name, upload.error) from upload.error

    def delete(self, name: str) -> None:
        try:
            obstore.delete(self._store(), name)
        except (NotFoundError, FileNotFoundError):
            return
        except (BaseError, OSError) as error:
            raise self._trouble(name, error) from error

    def _store(self) -> S3Store:
        # Made anew: keys are files that may have changed.
        spec = self._spec
        if spec.ca_file is not None:
            # The library takes its authorities from there and from nowhere else.
            os.environ["SSL_CERT_FILE"] = str(spec.ca_file)
        return S3Store(
            spec.bucket,
            prefix=spec.prefix or None,
            endpoint=spec.endpoint or f"https://s3.{spec.region}.amazonaws.com",
            region=spec.region,
            access_key_id=read_secret(spec.access_key_file),
            secret_access_key=read_secret(spec.secret_key_file),
            client_options={
                "allow_http": bool(spec.endpoint and spec.endpoint.startswith("http://")),
                "connect_timeout": "10s",
                "timeout": "10m",
            },
            retry_config={"max_retries": 5},
        )

    def _trouble(self, name: str, error: BaseException) -> StorageError:
        return StorageError(f"{self._where}/{name}: {_reason(str(error)) or type(error).__name__}")

    def trouble(self, name: str, error: BaseException) -> StorageError:
        """An error of the library in words."""
        return self._trouble(name, error)


def _reason(said: str) -> str:
    """What the server answered, where it did; else what the library says."""
    code, message = (re.search(f"<{tag}>([^<]+)</{tag}>", said) for tag in ("Code", "Message"))
    if code is not None:
        return f"{code[1]}: {message[1] if message else 'the storage says no more'}"
    first = said.strip().split("\n", maxsplit=1)[0][-300:]
    # That something went wrong on the way it says in words, and what only in its own notation.
    if wrong := re.search(r"InvalidCertificate\(\s*(\w+)", said):
        return f"{first}: its certificate is not one of the given authorities' ({wrong[1]})"
    if cause := re.search(r'message: "([^"]+)"', said):
        return f"{first}: {cause[1]}"
    return first


class _Pieces:
    def __init__(self, storage: ObjectStorage, name: str, pieces: Iterator[object]) -> None:
        self._storage = storage
        self._name = name
        self._pieces = pieces
        self._left = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        taken = bytearray()
        while size < 0 or len(taken) < size:
            if not self._left:
                try:
                    piece = next(self._pieces, None)
                except (BaseError, OSError) as error:
                    raise self._storage.trouble(self._name, error) from error
                if piece is None:
                    break
                self._left = memoryview(piece)  # type: ignore[arg-type]
            part = self._left if size < 0 else self._left[: size - len(taken)]
            taken += part
            self._left = self._left[len(part) :]
        return bytes(taken)


class _AbandonedError(Exception):
    """Who wrote gave up: the library then takes back what it had sent."""


class _Upload:
    """What is written here is taken from here by a thread that sends it."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes | _AbandonedError | None] = queue.Queue(_AHEAD)
        self._over = threading.Event()
        self.error: BaseException | None = None

    def write(self, data: bytes, /) -> int:
        self._put(bytes(data))
        return len(data)

    def flush(self) -> None:
        """It is durable when it is completed."""

    def finish(self) -> None:
        self._put(None)

    def abandon(self) -> None:
        self._put(_AbandonedError())

    def run(self, store: S3Store, name: str) -> None:
        try:
            obstore.put(store, name, self._each(), chunk_size=_PART, max_concurrency=2)
        except BaseException as error:
            self.error = error
        finally:
            self._over.set()

    def _put(self, piece: bytes | _AbandonedError | None) -> None:
        while not self._over.is_set():
            try:
                self._pieces.put(piece, timeout=0.2)
            except queue.Full:
                continue
            return
        if isinstance(piece, bytes):
            raise StorageError(f"the upload ended early: {self.error}")

    def _each(self) -> Iterator[bytes]:
        while (piece := self._pieces.get()) is not None:
            if isinstance(piece, _AbandonedError):
                raise piece
            yield piece
