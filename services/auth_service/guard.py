"""Who may call the routes for administrators: as in every service, but by the keys at hand, and a
token that was revoked, or whose client is not active any more, lets nobody in."""

from __future__ import annotations

from services.auth_service.discovery import TOKEN
from services.auth_service.store import ClientStore
from services.auth_service.tokens import Token, Tokens
from services.shared.auth import refusals
from services.shared.http import problem
from services.shared.http.problem import ProblemError
from services.shared.runtime.databases import DatabaseUnavailableError


class OwnGuard:
    """See services/shared/http/gate.py."""

    def __init__(self, issuer: str, tokens: Tokens, store: ClientStore) -> None:
        self.token_url = f"{issuer}{TOKEN}"
        self._tokens = tokens
        self._store = store

    def known(self, authorization: bytes, needs: str) -> str | None:
        """Nobody: what was not revoked a moment ago may be now."""
        return None

    async def check(self, authorization: bytes | None, needs: str) -> str:
        """The client. Raises ProblemError."""
        if authorization is None or authorization[:7].lower() != b"bearer ":
            raise refusals.no_token(self.token_url)
        token = self.read(authorization)
        if token is None or not await self._stands(token):
            raise _invalid()
        if needs not in token.scopes:
            raise refusals.insufficient(needs)
        return token.client_id

    def read(self, authorization: bytes) -> Token | None:
        """The token of a header, if it is valid by itself."""
        return self._tokens.read(authorization[7:].strip().decode("latin-1"))

    async def _stands(self, token: Token) -> bool:
        try:
            return await self._store.stands(token.jti, token.client_id)
        except DatabaseUnavailableError:
            raise problem.unavailable("the database") from None


def _invalid() -> ProblemError:
    said = "the token is not one of ours, has ended, or was revoked"
    challenge = f'Bearer realm="millrace", error="invalid_token", error_description="{said}"'
    return ProblemError(
        401, "invalid-token", f"{said}; get another one", headers={"WWW-Authenticate": challenge}
    )
