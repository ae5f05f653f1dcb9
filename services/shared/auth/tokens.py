"""Reads an access token (RFC 9068): nothing in it is believed before its signature is verified."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, Final, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError

from services.shared.auth.published import ALGORITHM, Key
from services.shared.auth.refusals import TokenError

MOST_BYTES: Final = 4096
"""Of the whole Authorization header."""
_TYPES: Final = ("at+jwt", "application/at+jwt")
_BEARER: Final = re.compile(rb"bearer +([\w-]+)\.([\w-]+)\.([\w-]+)", re.IGNORECASE)
_SCHEME: Final = re.compile(rb"bearer( |$)", re.IGNORECASE)
# As RFC 6749 has them, without what would break a line of a log or a header.
_NAME: Final = re.compile(r"[\x21-\x7e]{1,200}")


class Unverified(NamedTuple):
    """A token whose header has the form of ours."""

    text: bytes
    kid: str


class Verified(NamedTuple):
    """What a token says, with the clock left to be looked at."""

    client_id: str
    scopes: frozenset[str]
    begins: float
    """The later of `iat` and `nbf`."""
    ends: float
    key: Key

    def now_or_refused(self, now: float, leeway: float) -> None:
        """Raises TokenError outside its time."""
        if now >= self.ends + leeway:
            raise TokenError("expired")
        if now < self.begins - leeway:
            raise TokenError("not_yet_valid")


def split(authorization: bytes | None) -> Unverified:
    """The token of a header. Raises TokenError."""
    if authorization is None or not _SCHEME.match(authorization):
        raise TokenError("no_token")
    if len(authorization) > MOST_BYTES:
        raise TokenError("too_large")
    parts = _BEARER.fullmatch(authorization)
    if parts is None:
        raise TokenError("malformed")
    header = _object(parts[1])
    if header is None:
        raise TokenError("malformed")
    if header.get("alg") != ALGORITHM:
        raise TokenError("algorithm")
    kind = header.get("typ")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenError("type")
    kid = header.get("kid")
    # `crit` names what must be understood; a key that comes along (jwk, jku, x5c) is never used.
    if not isinstance(kid, str) or "crit" in header or "b64" in header:
        raise TokenError("malformed")
    return Unverified(authorization[parts.start(1) :], kid)


def verify(token: Unverified, key: Key, issuer: str, audience: str) -> Verified:
    """What it says, if `key` signed it and it is for us. Raises TokenError."""
    try:
        payload = jws.deserialize_compact(token.text, key.public, algorithms=[ALGORITHM]).payload
    except (JoseError, ValueError):
        raise TokenError("signature") from None
    claims = _loads(payload)
    if claims is None:
        raise TokenError("claims")
    if claims.get("iss") != issuer:
        raise TokenError("issuer")
    given = claims.get("aud")
    if given != audience and not (isinstance(given, list) and audience in given):
        raise TokenError("audience")
    names = (claims.get("client_id"), claims.get("sub"), claims.get("jti"))
    if not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
        raise TokenError("claims")
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise TokenError("claims")
    issued, ends = _time(claims, "iat"), _time(claims, "exp")
    begins = max(issued, _time(claims, "nbf")) if "nbf" in claims else issued
    return Verified(claims["client_id"], frozenset(scope.split(" ")) - {""}, begins, ends, key)


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    # A bool is an int to Python; what is beyond a double's whole numbers is no time.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise TokenError("claims")
    return float(value)


def _object(part: bytes) -> dict[str, Any] | None:
    try:
        return _loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (binascii.Error, ValueError):
        return None


def _loads(text: bytes | None) -> dict[str, Any] | None:
    try:
        value: Any = json.loads(text or b"")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
