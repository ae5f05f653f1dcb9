"""Encryption in the age format: to public keys, so that who takes backups cannot read them."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from services.backup.engine import BackupError, NotOpened
from services.backup.spec import EncryptionSpec
from services.backup.storage.storage import Reader, Writer
from services.backup.streams import PIECE
from services.shared.runtime.settings import read_secret

# It has no types.
_age: Final[Any] = import_module("pyrage")


class _Watched:
    """Keeps the exception of a stream: pyrage hands on its text only, as a fault of its own."""

    def __init__(self, inner: Reader | Writer) -> None:
        self._inner = inner
        self.error: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._inner.read(size)  # type: ignore[union-attr]
        except Exception as error:
            self.error = error
            raise

    def write(self, data: bytes, /) -> int:
        try:
            return self._inner.write(bytes(data))  # type: ignore[union-attr]
        except Exception as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._inner.flush()  # type: ignore[union-attr]


def seal(source: Reader, sink: Writer, encryption: EncryptionSpec | None) -> tuple[str, ...]:
    """Copy `source` to `sink`, encrypted when keys are given; returns who can open it."""
    if encryption is None:
        shutil.copyfileobj(source, sink, PIECE)  # type: ignore[arg-type]
        return ()
    try:
        keys = [_age.x25519.Recipient.from_str(one) for one in encryption.recipients]
    except _age.RecipientError as error:
        raise BackupError(
            f"encryption.recipients: {error}; give public keys of age, age1…"
        ) from None
    reader, writer = _Watched(source), _Watched(sink)
    try:
        _age.encrypt_io(reader, writer, keys)
    except Exception as error:
        raise reader.error or writer.error or error from None
    return tuple(encryption.recipients)


def unseal(
    source: Reader, sink: Writer, recipients: tuple[str, ...], encryption: EncryptionSpec | None
) -> None:
    """Copy `source` to `sink`, decrypted when it has recipients. Raises NotOpened."""
    if not recipients:
        shutil.copyfileobj(source, sink, PIECE)  # type: ignore[arg-type]
        return
    keys = identities(encryption.identity_file if encryption else None)
    reader, writer = _Watched(source), _Watched(sink)
    try:
        _age.decrypt_io(reader, writer, keys)
    except Exception as error:
        if found := reader.error or writer.error:
            raise found from None
        raise NotOpened(
            f"it cannot be decrypted ({error}): it is for {', '.join(recipients)}, and "
            "encryption.identity_file holds the private key of "
            f"{', '.join(str(key.to_public()) for key in keys)}"
        ) from None


def identities(path: Path | None) -> list[Any]:
    """The private keys in a file as age-keygen writes it. Raises NotOpened."""
    if path is None:
        raise NotOpened(
            "it is encrypted: name the file with the private key in encryption.identity_file"
        )
    lines = [line.strip() for line in read_secret(path).splitlines()]
    try:
        keys = [
            _age.x25519.Identity.from_str(line)
            for line in lines
            if line and not line.startswith("#")
        ]
    except _age.IdentityError:
        # Its text would quote the line.
        raise NotOpened(f"{path} holds no private key of age, AGE-SECRET-KEY-1…") from None
    if not keys:
        raise NotOpened(f"{path} holds no private key of age, AGE-SECRET-KEY-1…")
    return keys


def new_identity() -> Any:
    """A new key pair; its text is the private key, `to_public()` is the recipient."""
    return _age.x25519.Identity.generate()
