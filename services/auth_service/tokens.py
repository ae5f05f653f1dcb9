"""Access tokens: JWTs by the profile of RFC 9068."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError

from services.auth_service.keys import ALGORITHM, SigningKeys
from services.auth_service.settings import AuthSettings

TYPE: Final = "at+jwt"
_LONGEST: Final = 4096
_CLAIMS: Final = ("sub", "client_id", "jti", "scope")
"""Those that are text, beside the ones that are compared."""
_CLOCKS_APART: Final = 60
"""Seconds that the clock of the process that signed may be ahead."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token of ours says; it has not ended."""

    client_id: str
    scopes: frozenset[str]
    jti: str
    claims: dict[str, Any]

    @property
    def seconds_left(self) -> float:
        return self.claims["exp"] - time.time()


class Tokens:
    """Makes and reads them."""

    def __init__(
        self, settings: AuthSettings, keys: SigningKeys, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock

    def issue(self, client_id: str, scope: str) -> tuple[str, str]:
        """The token, and its `jti`."""
        keys = self._keys.now()
        jti = secrets.token_urlsafe(16)
        # The clock of the day, for whoever reads it has no other; one that was set back makes
        # tokens that end later by as much.
        now = int(self._clock())
        claims = {
            "iss": self._settings.issuer,
            "sub": client_id,
            "client_id": client_id,
            "aud": self._settings.audience,
            "iat": now,
            "exp": now + self._settings.lifetime_seconds,
            "jti": jti,
            "scope": scope,
        }
        header = {"typ": TYPE, "alg": ALGORITHM, "kid": keys.kid}
        return jwt.encode(header, claims, keys.active), jti

    def read(self, text: str) -> Token | None:
        """None: it is not ours, or not whole, or for others, or has ended."""
        if len(text) > _LONGEST:
            return None
        try:
            found = jwt.decode(text, self._keys.now().all, algorithms=[ALGORITHM])
        except (JoseError, ValueError, RecursionError):
            return None
        claims = found.claims
        fine = (
            found.header.get("typ") == TYPE
            and claims.get("iss") == self._settings.issuer
            and claims.get("aud") == self._settings.audience
            and all(isinstance(claims.get(name), str) for name in _CLAIMS)
            and all(isinstance(claims.get(name), int) for name in ("iat", "exp"))
            and claims["iat"] - _CLOCKS_APART <= self._clock() < claims["exp"]
        )
        if not fine:
            return None
        return Token(claims["client_id"], frozenset(claims["scope"].split()), claims["jti"], claims)
