"""The endpoints that clients call with their credentials: past the framework (api.py describes
them), with the answers and errors of their RFCs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError, OAuth2Error
from pydantic_core import to_json

from services.auth_service import audit
from services.auth_service.authentication import Authenticator, TooManyFailuresError
from services.auth_service.hashing import BusyError
from services.auth_service.incoming import read_credentials, read_form
from services.auth_service.metrics import AuthMetrics
from services.auth_service.model import Client
from services.auth_service.server import Request, Server
from services.auth_service.store import ClientStore
from services.auth_service.tokens import Token, Tokens
from services.shared.http.direct import Call, Reply
from services.shared.runtime.databases import DatabaseUnavailableError
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

NO_STORE = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
_CHALLENGE = (b"www-authenticate", b'Basic realm="millrace", charset="UTF-8"')

Form = dict[str, str]


class Endpoints:
    """Raise nothing that is an answer."""

    def __init__(
        self,
        server: Server,
        authenticator: Authenticator,
        tokens: Tokens,
        store: ClientStore,
        metrics: AuthMetrics,
    ) -> None:
        self._server = server
        self._authenticator = authenticator
        self._tokens = tokens
        self._store = store
        self._metrics = metrics

    async def token(self, call: Call) -> Reply:
        """POST /oauth/token."""
        return await self._answered("token", call, self._issue)

    async def introspect(self, call: Call) -> Reply:
        """POST /oauth/introspect."""
        return await self._answered("introspect", call, self._introspect)

    async def revoke(self, call: Call) -> Reply:
        """POST /oauth/revoke."""
        return await self._answered("revoke", call, self._revoke)

    async def _issue(self, form: Form, client: Client, address: str) -> dict[str, Any]:
        if "grant_type" not in form:
            raise InvalidRequestError("grant_type is missing; it is client_credentials")
        request = Request(form, client)
        body = self._server.issue(request)
        self._metrics.issued.inc()
        audit.note(
            "token", client.client_id, "issued", address, scope=body["scope"], jti=request.issued
        )
        return body

    async def _introspect(self, form: Form, client: Client, address: str) -> dict[str, Any]:
        request = Request(form, client, await self._valid(form))
        return self._server.respond("introspection", request)

    async def _revoke(self, form: Form, client: Client, address: str) -> dict[str, Any]:
        request = Request(form, client, self._given(form))
        body = self._server.respond("revocation", request)
        if request.revoked:
            token = request.revoked
            await self._store.revoke(token.jti, token.client_id, token.seconds_left)
            self._metrics.revoked.inc()
            audit.note(
                "revoke", client.client_id, "revoked", address, of=token.client_id, jti=token.jti
            )
        return body

    def _given(self, form: Form) -> Token | None:
        if "token" not in form:
            raise InvalidRequestError("token is missing")
        return self._tokens.read(form["token"])

    async def _valid(self, form: Form) -> Token | None:
        token = self._given(form)
        if token is None or not await self._store.stands(token.jti, token.client_id):
            return None
        return token

    async def _answered(
        self,
        action: str,
        call: Call,
        work: Callable[[Form, Client, str], Awaitable[dict[str, Any]]],
    ) -> Reply:
        address = (call.scope.get("client") or ("unknown",))[0]
        by = "unknown"
        try:
            form = read_form(call.fields, call.body)
            given = read_credentials(call.fields, form)
            by = given.client_id
            client = self._authenticator.known(given)
            if client is None:
                client = await self._authenticator.authenticate(given, address)
            return Reply(200, to_json(await work(form, client, address)), NO_STORE)
        except OAuth2Error as error:
            audit.note(action, by, str(error.error), address)
            return refusal(error)
        except DatabaseUnavailableError as error:
            log.warning("database_unavailable", error=str(error))
            return _later("the database cannot be reached at the moment")
        except BusyError:
            return _later("too many secrets wait to be verified")


def refusal(error: OAuth2Error) -> Reply:
    """By RFC 6749, 5.2."""
    headers = NO_STORE
    status = error.status_code
    if isinstance(error, InvalidClientError):
        status, headers = 401, (*headers, _CHALLENGE)
    if isinstance(error, TooManyFailuresError):
        headers = (*headers, (b"retry-after", b"%d" % error.retry_after))
    # The library would repeat what the client sent, which may not stand in a description.
    said = "this grant type is not supported" if error.error == _GRANT else error.description
    return Reply(status, to_json({"error": error.error, "error_description": said or ""}), headers)


_GRANT = "unsupported_grant_type"


def _later(why: str) -> Reply:
    body = {"error": "temporarily_unavailable", "error_description": f"{why}; try again"}
    return Reply(503, to_json(body), (*NO_STORE, (b"retry-after", b"2")))
