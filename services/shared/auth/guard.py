"""Lets requests in by their tokens: what services/shared/http/gate.py asks."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.shared.auth import refusals
from services.shared.auth.keys import Keys
from services.shared.auth.memory import Memory
from services.shared.auth.refusals import Reason, TokenError
from services.shared.auth.settings import AuthenticationSettings
from services.shared.auth.tokens import Verified, split, verify
from services.shared.http.problem import ProblemError

Clock = Callable[[], float]


class TokenGuard:
    """One per process: all its requests share keys and memory."""

    def __init__(
        self,
        settings: AuthenticationSettings,
        keys: Keys,
        registry: CollectorRegistry,
        clock: Clock = time.time,
    ) -> None:
        """`clock`: of the day, read at each use; what it said before is believed of nothing."""
        assert settings.issuer is not None, "the settings insist on it"
        self._issuer = settings.issuer
        self._audience = settings.audience
        self._leeway = settings.leeway_seconds
        self._keys = keys
        self._memory = Memory(settings.remembered)
        self._clock = clock
        self.token_url = f"{settings.issuer}/oauth/token"
        accepted = Counter(
            "auth_tokens_accepted",
            "Tokens taken, by how they were known: their signature was verified (signature), or had"
            " been for an earlier request (memory).",
            ["by"],
            registry=registry,
        )
        self._verified = accepted.labels("signature")
        self._remembered = accepted.labels("memory")
        self._refused = Counter(
            "auth_tokens_refused", "Requests refused for their token.", ["reason"],
            registry=registry,
        )  # fmt: skip
        kept = Gauge("auth_tokens_remembered", "Tokens in memory.", registry=registry)
        kept.set_function(lambda: len(self._memory))
        there = Gauge("auth_keys", "Keys that tokens are verified with.", registry=registry)
        there.set_function(lambda: len(keys))
        age = Gauge(
            "auth_keys_fetched_timestamp_seconds",
            "When the keys were last fetched, in seconds since 1970; 0: never.",
            registry=registry,
        )
        age.set_function(lambda: keys.fetched_at or 0.0)

    def known(self, authorization: bytes, needs: str) -> str | None:
        """The client, if this very header was verified before. Raises ProblemError."""
        token = self._memory.find(authorization)
        if token is None:
            return None
        try:
            token.now_or_refused(self._clock(), self._leeway)
        except TokenError as error:
            # Also when a clock was set back: it is looked at anew when its time has come again.
            self._memory.forget(authorization)
            raise self._problem(error.reason, needs) from None
        self._insist(token, needs)
        self._remembered.inc()
        return token.client_id

    async def check(self, authorization: bytes | None, needs: str) -> str:
        """The client, by the signature. Raises ProblemError."""
        try:
            found = split(authorization)
            await self._keys.first_look()
            if not self._keys:
                raise TokenError("no_keys")
            key = await self._keys.find(found.kid)
            if key is None:
                raise TokenError("unknown_key")
            token = verify(found, key, self._issuer, self._audience)
            token.now_or_refused(self._clock(), self._leeway)
        except TokenError as error:
            raise self._problem(error.reason, needs) from None
        assert authorization is not None, "without it there is no token"
        self._memory.keep(authorization, token)
        self._insist(token, needs)
        self._verified.inc()
        return token.client_id

    def _insist(self, token: Verified, needs: str) -> None:
        if needs not in token.scopes:
            raise self._problem("scope", needs)

    def _problem(self, reason: Reason, needs: str) -> ProblemError:
        self._refused.labels(reason).inc()
        match reason:
            case "no_token":
                return refusals.no_token(self.token_url)
            case "no_keys":
                return refusals.no_keys()
            case "scope":
                return refusals.insufficient(needs)
            case _:
                return refusals.invalid(reason)
