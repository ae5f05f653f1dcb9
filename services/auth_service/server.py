"""Authlib's authorization server, on what was found before.

The library is synchronous: it asks for clients and tokens in the middle of its work. So whatever
takes a database or bcrypt is awaited first, and is in the request when the library asks.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Literal

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidGrantError,
    InvalidScopeError,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from services.auth_service.model import Client, in_order
from services.auth_service.tokens import Token, Tokens
from services.contracts.scopes import CLIENTS_ADMIN

_FOUND = "found"
"""The one way in which the library has clients authenticated: they have been."""

Body = dict[str, Any]


class Party:
    """A client as the library asks about it."""

    def __init__(self, client: Client) -> None:
        self.client_id = client.client_id
        self.scopes = frozenset(client.scopes)

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == ClientCredentialsGrant.GRANT_TYPE

    def check_endpoint_auth_method(self, _method: str, _endpoint: str) -> bool:
        return True

    def may_see(self, token: Token) -> bool:
        """Its own; who administers clients sees all."""
        return token.client_id == self.client_id or CLIENTS_ADMIN in self.scopes


class Request(OAuth2Request):
    """A request whose client is authenticated and whose token, if it has one, is looked up."""

    def __init__(self, form: dict[str, str], client: Client, token: Token | None = None) -> None:
        # Not the library's own: it refuses what did not come over TLS, which in front of this
        # process is for the entry to see to.
        self.method, self.uri, self.headers = "POST", "", {}
        self.payload: Any = BasicOAuth2Payload(form)
        self.client = None
        self.party = Party(client)
        self.token = token
        self.issued: str | None = None
        self.revoked: Token | None = None

    @property
    def form(self) -> dict[str, str]:
        return self.payload.data


class _Grant(ClientCredentialsGrant):
    def __init__(self, request: Any, server: Any) -> None:
        super().__init__(request, server)
        self.TOKEN_ENDPOINT_AUTH_METHODS = [_FOUND]

    def validate_requested_scope(self) -> None:
        """Of this client, and not of the server only."""
        request: Any = self.request
        asked = frozenset((request.payload.scope or "").split(" ")) - {""}
        if not asked <= request.party.scopes:
            raise InvalidScopeError("a requested scope is unknown, or not one of this client")


class _Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS: ClassVar = [_FOUND]

    def check_params(self, request: Request, client: Party) -> None:
        """A token_type_hint may be ignored (RFC 7009, 2.1), and there is one type only."""

    def query_token(self, token_string: str, token_type_hint: str | None) -> Any:
        raise NotImplementedError

    def authenticate_token(self, request: Request, client: Party) -> Token | None:
        if request.token and not client.may_see(request.token):
            raise InvalidGrantError("the token was issued to another client")
        return request.token

    def revoke_token(self, token: Token, request: Request) -> None:
        request.revoked = token


class _Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS: ClassVar = [_FOUND]

    def check_params(self, request: Request, client: Party) -> None:
        """As _Revocation's."""

    def authenticate_token(self, request: Request, client: Party) -> Token | None:
        return request.token if request.token and client.may_see(request.token) else None

    def create_introspection_payload(self, token: Token | None) -> dict[str, Any]:
        if token is None:
            return {"active": False}
        return {"active": True, "token_type": "Bearer", **token.claims}


class Server(AuthorizationServer):
    """Errors are raised as the library's OAuth2Error."""

    def __init__(self, tokens: Tokens, lifetime_seconds: int) -> None:
        super().__init__()
        self._tokens = tokens
        self._lifetime_seconds = lifetime_seconds
        self.register_client_auth_method(_FOUND, lambda _query, request: request.party)
        generate: Any = self._generate
        self.register_token_generator("default", generate)
        self.register_grant(_Grant)
        self.register_endpoint(_Revocation)
        self.register_endpoint(_Introspection)
        # At DEBUG it would log every token that it issues.
        logging.getLogger("authlib").setLevel(logging.WARNING)

    def issue(self, request: Request) -> Body:
        """The answer to a request for a token; its id is then `request.issued`."""
        body: Any = self.create_token_response(request)
        return body

    def respond(self, endpoint: Literal["introspection", "revocation"], request: Request) -> Body:
        """The answer of that endpoint; what is to be revoked is then `request.revoked`."""
        body: Any = self.create_endpoint_response(endpoint, request)
        return body

    def _generate(self, *, client: Party, scope: str | None, **_: object) -> Body:
        granted = in_order(frozenset((scope or "").split()) or client.scopes)
        token, jti = self._tokens.issue(client.client_id, granted)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self._lifetime_seconds,
            "scope": granted,
            "jti": jti,
        }

    def save_token(self, token: Any, request: Any) -> None:
        # Nothing is kept of a token; its id is for the audit log and not for the client.
        request.issued = token.pop("jti")

    def query_client(self, client_id: str) -> Any:
        raise NotImplementedError  # found before

    def create_oauth2_request(self, request: Any) -> Any:
        return request

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""

    def handle_response(self, status: int, body: Any, headers: Any) -> Any:
        return body

    def handle_error_response(self, request: Any, error: Any) -> Any:
        raise error
