"""The keys that sign tokens, from a mounted folder, read again when it changes.

A key is published before it signs and after it has signed: which ones are there is one change,
which one is `active` another.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import SettingsError

log = get_logger(__name__)

ALGORITHM: Final = "ES256"
_CURVE: Final = "P-256"
_LOOK_SECONDS: Final = 1.0

_Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Keys:
    """One state of the folder."""

    active: ECKey
    kid: str
    all: KeySet
    published: dict[str, Any]
    """The JWK set: public parts only."""


class SigningKeys:
    """`now()` is as the folder was a second ago at most, or when it was last in order."""

    def __init__(self, folder: Path) -> None:
        """Raises SettingsError when the folder is not in order."""
        self._folder = folder
        self._stamp = self._look()
        self._keys = _read(folder)
        self._looked = time.monotonic()

    def now(self) -> Keys:
        """The keys to use; who keeps them misses a change."""
        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._looked = time.monotonic()
            self._follow()
        return self._keys

    def _follow(self) -> None:
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return
            self._keys = _read(self._folder)
        except (SettingsError, OSError) as error:
            # Half of a change, or a mistake: the next look tells. Tokens go on meanwhile.
            log.error("signing_keys_unusable", error=str(error))
            return
        self._stamp = stamp
        log.info("signing_keys_read", active=self._keys.kid, published=_kids(self._keys.all))

    def _look(self) -> _Stamp:
        try:
            found = [(path, path.stat()) for path in sorted(self._folder.iterdir())]
        except OSError as error:
            raise SettingsError(f"AUTH_KEYS_DIR: {error.strerror}; mount the keys there") from error
        return tuple((path.name, stat.st_mtime_ns, stat.st_ino) for path, stat in found)


def _read(folder: Path) -> Keys:
    keys = [_key(path) for path in sorted(folder.glob("*.pem"))]
    try:
        kid = (folder / "active").read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"AUTH_KEYS_DIR: its file `active` cannot be read ({error}); it holds the name of the"
            " key that signs"
        ) from error
    active = next((key for key in keys if key.kid == kid), None)
    if active is None:
        known = ", ".join(str(key.kid) for key in keys) or "none"
        raise SettingsError(
            f"AUTH_KEYS_DIR: `active` names {kid!r}, but the keys are: {known}; add {kid}.pem, or"
            " name one of them"
        )
    every = KeySet(list(keys))
    published = {"keys": [_public(key) for key in keys]}
    return Keys(active, kid, every, published)


def _key(path: Path) -> ECKey:
    try:
        key = ECKey.import_key(path.read_bytes(), {"kid": path.stem})
    except (OSError, ValueError, JoseError) as error:
        # Not the library's words: they may repeat what the file holds.
        raise SettingsError(
            f"AUTH_KEYS_DIR: {path.name} cannot be read ({type(error).__name__}); it must be the"
            " PEM of an EC private key"
        ) from None
    if not key.is_private or key.curve_name != _CURVE:
        raise SettingsError(
            f"AUTH_KEYS_DIR: {path.name} is no private key on {_CURVE}; make one of ECDSA P256"
        )
    return key


def _public(key: ECKey) -> dict[str, Any]:
    return {**key.as_dict(private=False), "use": "sig", "alg": ALGORITHM}


def _kids(keys: KeySet) -> list[str]:
    return [str(key.kid) for key in keys]
