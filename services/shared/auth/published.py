"""The authorization server's key set as it publishes it (RFC 7517), fetched and read."""

from __future__ import annotations

import json
import time
from http.client import HTTPException
from typing import Any, Final
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from joserfc.errors import JoseError
from joserfc.jwk import ECKey

ALGORITHM: Final = "ES256"
_CURVE: Final = "P-256"
_MOST_BYTES: Final = 64 * 1024
_MOST_KEYS: Final = 50
_LONGEST_KID: Final = 200
_PART: Final = 4096


class KeySetError(Exception):
    """There is no key set to be had; the message says why."""


class Key:
    """One that signs. `gone` is set when it is published no more: what it signed ends with it."""

    __slots__ = ("gone", "kid", "public", "thumbprint")

    def __init__(self, kid: str, public: ECKey) -> None:
        self.kid = kid
        self.public = public
        self.thumbprint = public.thumbprint()
        self.gone = False


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Keys are where they were said to be, or nowhere."""


def _opener() -> OpenerDirector:
    return build_opener(ProxyHandler({}), _NoRedirect())


def fetch(url: str, seconds: float) -> dict[str, Key]:
    """The published keys by kid; blocks for not much longer than `seconds`. Raises KeySetError."""
    deadline = time.monotonic() + seconds
    parts: list[bytes] = []
    try:
        request = Request(url, headers={"Accept": "application/json"})  # noqa: S310 - of the settings
        with _opener().open(request, timeout=seconds) as response:
            while part := response.read1(_PART):
                parts.append(part)
                if len(parts) * _PART > 4 * _MOST_BYTES or sum(map(len, parts)) > _MOST_BYTES:
                    raise KeySetError(f"{url} answers with more than {_MOST_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise KeySetError(f"{url} did not answer within {seconds:g} s")
    except (OSError, HTTPException, ValueError) as error:
        raise KeySetError(f"{url}: {type(error).__name__}: {error}") from error
    return read(b"".join(parts))


def read(text: bytes) -> dict[str, Key]:
    """The keys that can be used, by kid: others' keys are no mistake. Raises KeySetError."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise KeySetError("the key set is no JSON") from None
    given = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(given, list):
        raise KeySetError("the key set has no list of keys")
    found: dict[str, Key] = {}
    for one in given[:_MOST_KEYS]:
        key = _key(one)
        if key is not None:
            found.setdefault(key.kid, key)
    if not found:
        # No server signs with nothing, and one mistake of its must not end every token at once.
        raise KeySetError(f"the key set holds no key for {ALGORITHM}")
    return found


def _key(given: Any) -> Key | None:
    if not isinstance(given, dict):
        return None
    kid = given.get("kid")
    usable = (
        isinstance(kid, str)
        and 0 < len(kid) <= _LONGEST_KID
        and given.get("kty") == "EC"
        and given.get("crv") == _CURVE
        and given.get("use", "sig") == "sig"
        and given.get("alg", ALGORITHM) == ALGORITHM
    )
    if not usable or not isinstance(kid, str):
        return None
    try:
        # Public parts only, whatever else somebody has published.
        return Key(kid, ECKey.import_key({name: given[name] for name in ("kty", "crv", "x", "y")}))
    except (JoseError, ValueError, KeyError, TypeError):
        return None
