"""Who may call an endpoint, and how often: said where the endpoint is described, and by a limit for
all of them; looked at before anything of the request's body is read.

Every route of an application says the scope that it needs, or why it needs none; one that says
neither does not let the application start (docs/decisions/0036-every-api-checks-tokens.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from fastapi import Depends, FastAPI, Security, params
from fastapi.routing import RouteContext, iter_route_contexts
from fastapi.security import OAuth2
from starlette.requests import HTTPConnection
from starlette.types import Scope

from services.contracts.scopes import SCOPES
from services.shared.http.books import QUIET
from services.shared.http.direct import Found
from services.shared.http.incoming import Fields
from services.shared.runtime import context

OPEN: Final = frozenset(
    {"/health", "/ready", "/metrics", "/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}
)
"""Of every service: the platform itself asks there, and who wants to know what there is to ask."""

_ADMITTED: Final = "millrace.admitted"
"""Where in a request's scope it is noted that the gate let it through."""


class UndeclaredError(Exception):
    """A route that does not say who may call it; the message names it and the way out."""


class Guard(Protocol):
    """Knows clients by the Authorization header of their requests."""

    token_url: str
    """Where clients get what they show."""

    def known(self, authorization: bytes, needs: str) -> str | None:
        """The client, if this very header was looked at before. Raises ProblemError."""
        ...

    async def check(self, authorization: bytes | None, needs: str) -> str:
        """The client. Raises ProblemError."""
        ...


class Limit(Protocol):
    """Knows how many requests each client may make."""

    def admit(self, client: str | None, address: str | None) -> None:
        """Count a request, of a client that a token names or else of an address. Raises
        ProblemError."""
        ...


class _Scheme(OAuth2):
    """What OpenAPI says of tokens; in a request, the second lock of a route of the framework."""

    def __init__(self) -> None:
        super().__init__(
            flows={"clientCredentials": {"tokenUrl": "/oauth/token", "scopes": dict(SCOPES)}},
            scheme_name="token",
            description="An access token of the authorization server, for the scopes it names.",
            auto_error=False,
        )

    async def __call__(self, request: HTTPConnection) -> str | None:
        if not request.scope.get(_ADMITTED):
            raise RuntimeError(f"{request.url.path} was called past the gate")
        return None


_SCHEME: Final = _Scheme()


def needs(scope: str) -> params.Security:
    """For `dependencies` of a route: only with a token of this scope."""
    if scope not in SCOPES:
        raise ValueError(f"there is no scope {scope!r}; services/contracts/scopes.py has them")
    return Security(_SCHEME, scopes=[scope])


class _Openly:
    def __init__(self, why: str) -> None:
        self.why = why

    async def __call__(self) -> None:
        """Nothing to look at."""


def openly(why: str) -> params.Depends:
    """For `dependencies` of a route: without a token; `why` is for who reads the code."""
    return Depends(_Openly(why))


class Gate:
    """Of one application. Without a guard it lets everybody through, without a limit as often as
    they like."""

    def __init__(self, guard: Guard | None, limit: Limit | None = None) -> None:
        self.guard = guard
        self._limit = limit
        self._routes: list[tuple[re.Pattern[str], frozenset[str], str, RouteContext]] = []
        self._declared = False

    def declare(self, app: FastAPI) -> dict[tuple[str, str], str | None]:
        """Read what the routes of `app` need; it by method and path.

        Raises:
            UndeclaredError: one does not say.
        """
        found: dict[tuple[str, str], str | None] = {}
        for route in iter_route_contexts(app.routes):
            path, methods = route.path, route.methods
            if path is None or methods is None:
                raise UndeclaredError(f"{route.route!r}: the gate sees no path and methods there")
            said = _said(getattr(route.original_route, "dependencies", ()))
            if not said and path not in OPEN:
                raise UndeclaredError(
                    f"{', '.join(sorted(methods))} {path} does not say who may call it; put"
                    " needs(SCOPE) or openly(WHY) among the route's dependencies"
                )
            needed = said[0] if said else None
            if needed:
                self._routes.append((route.path_regex, frozenset(methods), needed, route))
            for method in methods:
                found.setdefault((method, path), needed)
        self._declared = True
        return found

    def _needed(self, scope: Scope) -> str | None:
        """The scope that a route of the framework needs; None: none, or there is no such route."""
        method, path = scope["method"], scope["path"]
        for pattern, methods, needed, route in self._routes:
            if method in methods and pattern.match(path):
                scope["route"] = route  # for the metrics, should it go no further
                return needed
        return None

    async def pass_through(self, scope: Scope, fields: Fields, found: Found | None) -> None:
        """Let a request in, by the direct route that was found or by that of the framework, and
        have its log lines name the client. Raises ProblemError."""
        if not self._declared:
            raise UndeclaredError("nobody has read who may call what; call Application.finish()")
        needs = found.needs if found else self._needed(scope)
        client = None
        if needs is not None and self.guard is not None:
            given = fields.get(b"authorization")
            if given is not None and len(fields) != len(scope["headers"]):
                # Several of one name are one list (RFC 9110, 5.3), which no token is.
                given = b", ".join(v for name, v in scope["headers"] if name == b"authorization")
            if given is not None:
                client = self.guard.known(given, needs)
            if client is None:
                client = await self.guard.check(given, needs)
            context.identify(client)
        if self._limit is not None and scope["path"] not in QUIET:
            self._limit.admit(client, (scope.get("client") or (None,))[0])
        scope[_ADMITTED] = True

    def describe(self, document: dict[str, Any]) -> None:
        """Say in an OpenAPI document where tokens are, and how who has none, or asks too often, is
        answered."""
        schemes: dict[str, Any] = document.get("components", {}).get("securitySchemes", {})
        for scheme in schemes.values():
            if self.guard is not None:
                scheme["flows"]["clientCredentials"]["tokenUrl"] = self.guard.token_url
        for operations in document["paths"].values():
            for operation in operations.values():
                if operation.get("security"):
                    for status, answer in _REFUSED.items():
                        operation["responses"].setdefault(status, answer)
                if self._limit is not None:
                    operation["responses"].setdefault("429", _TOO_OFTEN)


def _said(dependencies: Iterable[params.Depends]) -> list[str | None]:
    """What each of them says of who may call: a scope, or None for everybody."""
    said: list[str | None] = []
    for one in dependencies:
        if isinstance(one, params.Security) and one.dependency is _SCHEME:
            said += one.scopes or ()
        elif isinstance(one.dependency, _Openly):
            said.append(None)
    if len(said) > 1:
        raise UndeclaredError(f"a route says more than once who may call it: {said}; say it once")
    return said


_CHALLENGE: Final[Mapping[str, Any]] = {
    "WWW-Authenticate": {
        "description": "Bearer, with realm, error and error_description (RFC 6750)",
        "schema": {"type": "string"},
    }
}
_PROBLEM: Final[Mapping[str, Any]] = {
    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
}
_REFUSED: Final[Mapping[str, Any]] = {
    "401": {
        "description": "No token, or one that is not valid here; get another",
        "headers": _CHALLENGE,
        "content": _PROBLEM,
    },
    "403": {
        "description": "The token is not for this; WWW-Authenticate names the scope that is",
        "headers": _CHALLENGE,
        "content": _PROBLEM,
    },
}
_TOO_OFTEN: Final[Mapping[str, Any]] = {
    "description": "The client asks too often; Retry-After says, in seconds, when to try again",
    "headers": {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}},
    "content": _PROBLEM,
}
